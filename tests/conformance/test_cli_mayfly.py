"""The `mayfly` command line itself."""

import json
import os
import shutil
import subprocess

import pytest

from harness.errors import error
from harness.functions import unique

COMMANDS = ["serve", "doctor", "status", "env", "invoke", "logs", "runtime", "async"]


@pytest.fixture
def mayfly(daemon_binary, aws_environment):
    def call(*words, input=None, timeout=20):
        return subprocess.run(
            [str(daemon_binary), *words], env=aws_environment, capture_output=True, text=True, input=input, timeout=timeout
        )

    return call


def test_help_lists_the_commands(mayfly):
    for words in (("--help",), ("help",), ("-h",)):
        done = mayfly(*words)
        assert (done.returncode, done.stderr) == (0, "")
        for command in COMMANDS:
            assert f"  {command} " in done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(mayfly, command):
    done = mayfly(command, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Usage: mayfly " + command)


def test_the_version(mayfly):
    for words in (("version",), ("--version",)):
        done = mayfly(*words)
        assert done.returncode == 0 and done.stdout.startswith("mayfly ")


@pytest.mark.parametrize(
    "words",
    [(), ("no-such-command",), ("invoke",), ("logs",), ("status", "extra")]
    + [(command, "--no-such-flag") for command in COMMANDS]
    + [("invoke", "f", "--payload"), ("logs", "f", "--since", "yesterday"), ("status", "-o", "yaml")]
    + [("serve", "--listen"), ("serve", "--listen", "nonsense"), ("serve", "--account", "12"), ("serve", "--workers", "0")],
    ids=" ".join,
)
def test_wrong_words_exit_with_2_and_say_why(mayfly, words):
    done = mayfly(*words)
    assert done.returncode == 2, done
    assert done.stdout == ""
    text = done.stderr.lower()
    assert "usage" in text or any(word.lower().lstrip("-") in text for word in words), done.stderr
    assert "assert" not in text and "core dumped" not in text


def test_doctor_speaks_json(mayfly):
    done = mayfly("doctor", "-o", "json")
    report = json.loads(done.stdout)
    assert done.returncode == 0, report
    text = mayfly("doctor").stdout
    assert text.strip()
    assert report


def test_status_speaks_json(mayfly, functions):
    functions.call(functions.make(), {})
    done = mayfly("status", "-o", "json")
    assert done.returncode == 0, done
    report = json.loads(done.stdout)
    assert isinstance(report, dict) and report
    assert any("runtime" in key for key in report), list(report)
    assert "python" in json.dumps(report)
    assert mayfly("status").stdout.strip()


def test_status_says_which_runtime_stands_in_for_another(mayfly):
    report = json.loads(mayfly("status", "-o", "json").stdout)
    assert "python3.12" in json.dumps(report)


def test_environments_are_listed(mayfly, functions):
    name = functions.make()
    functions.call(name, {})
    done = mayfly("env", "-o", "json")
    assert done.returncode == 0 and name in done.stdout
    assert name in mayfly("env").stdout
    (env, *_) = [one for one in json.loads(done.stdout)["environments"] if one["function"] == name and one["invocations"]]
    assert env["initialization"] == "on-demand" and 0 < env["memoryMb"] <= 128


def test_status_tells_the_room_of_the_node_and_what_is_provisioned(mayfly, functions):
    name = functions.make()
    functions.publish(name)
    functions.client.put_provisioned_concurrency_config(
        FunctionName=name, Qualifier="1", ProvisionedConcurrentExecutions=1)
    status = json.loads(mayfly("status", "-o", "json").stdout)
    assert 0 < status["counters"]["memoryMb"] < status["counters"]["memoryMbMax"]
    assert {"starting", "idle", "frozen", "busy", "freezes"} <= set(status["counters"])
    (shown,) = [one for one in status["provisioned"] if one["function"] == name]
    assert (shown["qualifier"], shown["requested"]) == ("1", 1)
    assert name in mayfly("status").stdout
    functions.client.delete_provisioned_concurrency_config(FunctionName=name, Qualifier="1")


def test_invoke(mayfly, functions, tmp_path):
    name = functions.make("def handler(event, context):\n    print('logged')\n    return event\n")
    done = mayfly("invoke", name, "--payload", '{"a": 1}')
    assert (done.returncode, json.loads(done.stdout)) == (0, {"a": 1})
    assert json.loads(mayfly("invoke", name).stdout) == {}
    assert json.loads(mayfly("invoke", name, "--payload", "-", input="[1, 2]").stdout) == [1, 2]
    (tmp_path / "event.json").write_text('"from a file"')
    assert json.loads(mayfly("invoke", name, "--payload", f"@{tmp_path}/event.json").stdout) == "from a file"
    done = mayfly("invoke", name, "--log")
    assert "logged\n" in done.stderr and "logged" not in done.stdout
    functions.publish(name)
    assert mayfly("invoke", name, "--qualifier", "1", "--payload", "7").stdout == "7\n"


def test_invoke_of_a_failing_and_of_a_missing_function(mayfly, functions):
    name = functions.make("def handler(event, context):\n    raise ValueError('no')\n")
    done = mayfly("invoke", name)
    assert done.returncode == 1 and json.loads(done.stdout)["errorType"] == "ValueError"
    assert "failed" in done.stderr
    done = mayfly("invoke", "no-such-function")
    assert done.returncode == 1 and "Function not found" in done.stderr and done.stdout == ""


def test_logs(mayfly, functions, eventually):
    name = functions.make("def handler(event, context):\n    print('line', event['n'])\n")
    functions.call(name, {"n": 1})
    eventually(lambda: "REPORT" in mayfly("logs", name).stdout)
    done = mayfly("logs", name)
    assert done.returncode == 0 and " line 1\n" in done.stdout
    records = [json.loads(line) for line in mayfly("logs", name, "-o", "json").stdout.splitlines()]
    assert "line 1\n" in [record["message"] for record in records]
    assert mayfly("logs", f"/aws/lambda/{name}").stdout == done.stdout


def test_logs_of_what_does_not_exist(mayfly):
    done = mayfly("logs", "no-such-function")
    assert done.returncode == 1 and "does not exist" in done.stderr


def test_logs_are_followed(daemon_binary, aws_environment, functions, tmp_path, eventually):
    name = functions.make("def handler(event, context):\n    print('line', event['n'])\n")
    out, said = tmp_path / "out.txt", tmp_path / "said.txt"
    with open(out, "w") as file, open(said, "w") as errors:
        follow = subprocess.Popen(
            [str(daemon_binary), "logs", name, "--follow"], env=aws_environment, stdout=file, stderr=errors
        )
        try:
            eventually(lambda: f"no log group /aws/lambda/{name} yet" in said.read_text())
            functions.call(name, {"n": 1})
            eventually(lambda: "line 1" in out.read_text())
            functions.call(name, {"n": 2})
            eventually(lambda: "line 2" in out.read_text())
        finally:
            follow.terminate()
            follow.wait(5)
    assert out.read_text().count("line 2\n") == 1


def test_requests_are_signed(daemon_binary, another_daemon, aws_environment):
    daemon = another_daemon("--auth", "always", "--access-keys", "AKIDEXAMPLE:verysecret")
    named = {**aws_environment, "AWS_ENDPOINT_URL": daemon.endpoint, "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE"}
    for words, good, bad in (
        (["status"], "environments", "does not match the signature you provided"),
        (["invoke", "none", "--payload", '{"a": 1}'], "Function not found", "does not match the signature you provided"),
    ):
        for secret, said in (("verysecret", good), ("other", bad)):
            done = subprocess.run(
                [str(daemon_binary), *words],
                capture_output=True,
                text=True,
                timeout=20,
                env={**named, "AWS_SECRET_ACCESS_KEY": secret},
            )
            assert said in done.stdout + done.stderr


def test_a_daemon_that_is_not_there(daemon_binary, aws_environment):
    nowhere = {**aws_environment, "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    for words in (["status"], ["invoke", unique()], ["logs", unique()]):
        done = subprocess.run([str(daemon_binary), *words], env=nowhere, capture_output=True, text=True, timeout=20)
        assert done.returncode == 1 and "127.0.0.1:9" in done.stderr, done


def test_two_daemons_on_one_directory(daemon, daemon_binary):
    done = subprocess.run(
        [str(daemon_binary), "serve", "--listen", "127.0.0.1:0", "--data", str(daemon.data)],
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert done.returncode not in (0, -6, -11)
    assert "another mayfly" in done.stderr + done.stdout


def test_an_address_that_is_taken(daemon, daemon_binary, tmp_path):
    done = subprocess.run(
        [str(daemon_binary), "serve", "--listen", f"127.0.0.1:{daemon.port}", "--data", str(tmp_path / "data")],
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert done.returncode not in (0, -6, -11)
    assert str(daemon.port) in done.stderr + done.stdout


def test_strict_runtimes_refuse_what_is_not_installed(another_daemon, aws_of):
    strict = aws_of(another_daemon("--runtimes", "strict")).functions()
    with error("InvalidParameterValueException", status=400) as caught:
        strict.create(runtime="python3.14")
    assert "python3.14" in caught.message


# ---- runtime ----


def runtime(daemon_binary, *words, **more):
    return subprocess.run([daemon_binary, "runtime", *words], capture_output=True, text=True, check=False, **more)


def test_runtime_list_shows_what_was_found_and_what_is_missing(daemon_binary, tmp_path):
    pack = tmp_path / "toy"
    pack.mkdir()
    (pack / "pack.ini").write_text(
        "[pack]\nname = toy\nlanguage = Toy\nruntimes = toy1 toy2\nstart = exec\ninterpreter = /bin/sh\n"
        'version = /bin/sh -c "echo 1.2"\nargv = {interpreter}\nneeds = lib/it\n'
    )
    pack.joinpath("installer").write_text('#!/bin/sh\nmkdir -p "${0%/*}/lib" && echo "$@" >"${0%/*}/lib/it"\n')
    pack.joinpath("installer").chmod(0o755)
    where = ("--runtimes-dir", str(tmp_path))
    listed = runtime(daemon_binary, "list", *where).stdout
    assert "toy        1.2        /" in listed and "serves toy1 toy2" in listed
    assert "mayfly runtime install toy" in listed
    assert runtime(daemon_binary, "install", "toy", *where, "--word", "x").returncode == 0
    assert (pack / "lib" / "it").read_text() == "--word x\n"
    assert "install" not in runtime(daemon_binary, "list", *where).stdout
    pack.joinpath("installer").chmod(0o777)
    refused = runtime(daemon_binary, "install", "toy", *where)
    assert (refused.returncode, "only root can change" in refused.stderr) == (1, True)
    for words, status in ((["install", "../toy"], 1), (["install"], 2), (["what"], 2), ([], 2), (["--help"], 0)):
        assert runtime(daemon_binary, *words, *where).returncode == status


def test_a_runtime_that_lacks_files_says_at_the_invoke_how_to_install_them(another_daemon, aws_of, tmp_path, root):
    pack = tmp_path / "python"
    shutil.copytree(root / "runtimes" / "python", pack)
    with open(pack / "pack.ini", "a", encoding="utf-8") as manifest:
        manifest.write("needs = lib/client\n")
    os.chmod(tmp_path, 0o755)
    functions = aws_of(another_daemon("--runtimes-dir", str(tmp_path))).functions()
    with pytest.raises(functions.client.exceptions.ClientError) as refused:
        functions.invoke(functions.make(), {})
    assert "Run 'mayfly runtime install python' as root" in refused.value.response["Error"]["Message"]
