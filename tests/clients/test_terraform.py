"""Terraform with the AWS provider, where both are on the machine: apply, no drift, change, no drift, destroy."""

import json
import os
import pathlib
import shutil
import subprocess

import pytest
from fetching import need

from harness.errors import error, not_found
from harness.functions import unique, zip_files, zip_source
from harness.rawhttp import Peer, request

HERE = pathlib.Path(__file__).parent
MIRRORS = [
    os.environ.get("TF_PLUGIN_MIRROR", ""),
    "/opt/tf-plugins",
    "/usr/share/terraform/plugins",
    "/usr/local/share/terraform/plugins",
    os.path.expanduser("~/.terraform.d/plugins"),
]


def handler(word):
    """A function that has its answer from the layer."""
    return f"import words\ndef handler(event, context):\n    return words.{word}\n"


@pytest.fixture
def terraform(tmp_path, recorder):
    """Run terraform in a folder of its own; its provider talks to the daemon through the recorder."""
    program = need("terraform")
    mirror = next((m for m in MIRRORS if m and list(pathlib.Path(m).glob("*/hashicorp/aws"))), None)
    if not mirror:
        pytest.skip(f"no mirror of the Terraform provider hashicorp/aws in any of {[m for m in MIRRORS if m]}")

    config = tmp_path / "terraformrc"
    config.write_text(
        f'provider_installation {{\n  filesystem_mirror {{\n    path = "{mirror}"\n  }}\n}}\ndisable_checkpoint = true\n'
    )
    shutil.copy(HERE / "terraform" / "main.tf", tmp_path)
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "TF_"))}
    environment.update(
        TF_CLI_CONFIG_FILE=str(config),
        TF_IN_AUTOMATION="1",
        TF_VAR_endpoint=recorder.endpoint,
        TF_VAR_name=unique("terraform"),
        TF_VAR_zip=str(tmp_path / "function.zip"),
        TF_VAR_layer_zip=str(tmp_path / "layer.zip"),
        AWS_EC2_METADATA_DISABLED="true",
        AWS_CONFIG_FILE="/dev/null",
        AWS_SHARED_CREDENTIALS_FILE="/dev/null",
    )

    def run(*words, status=0):
        done = subprocess.run(
            [program, *words, "-no-color"],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=200,
        )
        assert done.returncode == status, f"terraform {words}: {done.returncode}\n{done.stdout[-6000:]}{done.stderr[-3000:]}"
        return done.stdout

    run.name = environment["TF_VAR_name"]
    run.state = tmp_path / "terraform.tfstate"
    run.zip = tmp_path / "function.zip"
    run.zip.write_bytes(zip_source(handler("FIRST")))
    (tmp_path / "layer.zip").write_bytes(zip_files({"python/words.py": "FIRST = 'first'\nSECOND = 'second'\n"}))
    return run


@pytest.mark.seconds(500)
def test_apply_no_drift_change_destroy(terraform, functions, lambda_, aws, daemon):
    name = terraform.name
    live = {"FunctionName": name, "Qualifier": "live"}

    def outputs():
        found = json.loads(terraform.state.read_text())["outputs"]
        return {key: output["value"] for key, output in found.items()}

    def answer_by_url():
        host = outputs()["url"].removeprefix("http://").rstrip("/")
        with Peer(daemon.port) as peer:
            return peer.send(request("GET", "/", {"Host": host, "Origin": "https://a.example"})).answer()

    terraform("init", "-input=false")
    terraform("apply", "-auto-approve", "-input=false")
    assert functions.call(f"{name}:live", {}) == "first"
    answer = answer_by_url()
    assert answer.body == b"first" and answer.headers["access-control-allow-origin"] == "https://a.example"
    assert outputs()["said"] == '"first"' and outputs()["read"] == ["1", outputs()["url"], 1]
    provisioned = lambda_.get_provisioned_concurrency_config(**live)
    assert (provisioned["Status"], provisioned["AvailableProvisionedConcurrentExecutions"]) == ("READY", 1)
    invoke = lambda_.get_function_event_invoke_config(**live)
    assert (invoke["MaximumEventAgeInSeconds"], invoke["MaximumRetryAttempts"]) == (120, 1)
    assert lambda_.get_function_recursion_config(FunctionName=name)["RecursiveLoop"] == "Allow"
    terraform("plan", "-detailed-exitcode", "-input=false")

    terraform.zip.write_bytes(zip_source(handler("SECOND")))
    # The function and the alias; the invocation is made anew, for it is of a version.
    assert "Resources: 1 added, 2 changed, 1 destroyed." in terraform("apply", "-auto-approve", "-input=false")
    assert outputs()["version"] == "2" and outputs()["said"] == '"second"'
    assert functions.call(f"{name}:live", {}) == "second"
    assert answer_by_url().body == b"second"
    terraform("plan", "-detailed-exitcode", "-input=false")

    terraform("destroy", "-auto-approve", "-input=false")
    with not_found(f"Function not found: {functions.arn(name)}"):
        lambda_.get_function(FunctionName=name)
    with error("NoSuchEntity", status=404):
        aws.client("iam").get_role(RoleName=f"{name}-role")
