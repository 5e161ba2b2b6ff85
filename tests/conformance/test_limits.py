"""Quotas on sizes: ZIPs, unpacked code, environment variables."""

import json
import os
import zipfile

import pytest

from harness.errors import error, invalid
from harness.functions import ECHO, PYTHON, ROLE, unique, zip_files

MB = 1024 * 1024


def test_environment_variables_fill_4_kb_and_not_more(functions):
    def variables(size):
        """An environment whose JSON text is `size` bytes long."""
        overhead = len(json.dumps({"LARGE_VAR": ""}, separators=(",", ":")))
        return {"LARGE_VAR": "x" * (size - overhead)}

    functions.create(wait=False, Environment={"Variables": variables(4096)})
    too_large = variables(4097)
    text = json.dumps(too_large, separators=(",", ":"))
    with invalid(
        "Lambda was unable to configure your environment variables because the environment variables you have "
        f"provided exceeded the 4KB limit. String measured: {text}"
    ) as caught:
        functions.create(wait=False, Environment={"Variables": too_large})
    assert caught.response["Type"] == "User"


def test_many_environment_variables_count_together(functions):
    several = {"SMALL_VAR": "ok", "LARGE_VAR": "x" * 4064}
    with invalid() as caught:
        functions.create(wait=False, Environment={"Variables": several})
    assert caught.message.endswith(json.dumps(several, separators=(",", ":")))


def test_an_update_cannot_exceed_4_kb_either(lambda_, functions):
    name = functions.make(Environment={"Variables": {"AA": "1"}})
    with invalid():
        lambda_.update_function_configuration(FunctionName=name, Environment={"Variables": {"AA": "x" * 5000}})
    assert functions.wait(name)["Environment"] == {"Variables": {"AA": "1"}}


@pytest.mark.parametrize("key", ["AWS_REGION", "AWS_LAMBDA_METADATA_TOKEN", "LAMBDA_TASK_ROOT"])
def test_reserved_environment_variables_are_refused(functions, key):
    with invalid() as caught:
        functions.create(wait=False, Environment={"Variables": {key: "mine"}})
    assert caught.message == (
        "Lambda was unable to configure your environment variables because the environment variables you have "
        f"provided contains reserved keys that are currently not supported for modification. Reserved keys used in "
        f"this request: {key}"
    )


@pytest.mark.parametrize("key", ["_HANDLER", "_X_AMZN_TRACE_ID", "A", "1A", "A-B"])
def test_names_of_environment_variables_have_a_pattern(functions, key):
    with error("ValidationException", status=400) as caught:
        functions.create(wait=False, Environment={"Variables": {key: "mine"}})
    assert caught.message == (
        "1 validation error detected: Value at 'environment.variables' failed to satisfy constraint: Map keys must "
        "satisfy constraint: [Member must satisfy regular expression pattern: [a-zA-Z]([a-zA-Z0-9_])+]"
    )


@pytest.mark.seconds(120)
def test_code_of_more_than_250_mb_unpacked_is_refused(functions):
    zipped = zip_files({"lambda_function.py": ECHO, "zeros": bytes(262144000)})
    assert len(zipped) < MB
    with invalid("Unzipped size must be smaller than 262144000 bytes") as caught:
        functions.create(zipped=zipped)
    assert caught.response["Type"] == "User"


@pytest.mark.seconds(120)
def test_a_zip_of_nearly_50_mb_is_accepted_and_runs(functions, lambda_):
    ballast = os.urandom(49 * MB)
    zipped = zip_files({"lambda_function.py": ECHO, "ballast": ballast}, level=zipfile.ZIP_STORED)
    name = functions.make(zipped=zipped)
    assert functions.wait(name)["CodeSize"] > 49 * MB
    assert functions.call(name, {"large": True}) == {"large": True}
    lambda_.delete_function(FunctionName=name)


@pytest.mark.seconds(120)
def test_a_zip_of_more_than_50_mb_is_refused(lambda_, functions):
    zipped = zip_files({"ballast": os.urandom(50 * MB + 50_000)}, level=zipfile.ZIP_STORED)
    with error("RequestEntityTooLargeException", "Zipped size must be smaller than 52428800 bytes", 413):
        functions.create(zipped=zipped)


@pytest.mark.seconds(120)
def test_a_request_of_more_than_70_mb_is_refused(lambda_):
    with error("RequestEntityTooLargeException", status=413) as caught:
        lambda_.create_function(
            FunctionName=unique(), Runtime=PYTHON, Handler="a.b", Role=ROLE, Code={"ZipFile": bytes(53 * MB)}
        )
    assert caught.message.startswith("Request must be smaller than 70167211 bytes")


def test_a_zip_with_escaping_names_is_refused_and_writes_nothing(functions, tmp_path):
    target = tmp_path / "escaped"
    for name in (f"../../../../../../../../..{target}", str(target)):
        with invalid():
            functions.create(zipped=zip_files({name: "x", "lambda_function.py": ECHO}))
    assert not target.exists()
