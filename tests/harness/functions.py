"""Functions for tests: ZIPs from source text, creating, waiting, invoking."""

import io
import itertools
import json
import os
import time
import zipfile

ROLE = "arn:aws:iam::000000000000:role/test"
PYTHON = "python3.12"
NODE = "nodejs22.x"
PROVIDED = "provided.al2023"
RUBY = "ruby3.3"
JAVA = "java17"

HANDLERS = {
    "python": "lambda_function.handler",
    "nodejs": "index.handler",
    "provided": "bootstrap",
    "ruby": "function.handler",
    "java": "example.Handler",
}
FILES = {"python": "lambda_function.py", "nodejs": "index.js", "provided": "bootstrap", "ruby": "function.rb"}

ECHO = "def handler(event, context):\n    return event\n"

_numbers = itertools.count(1)
_run = os.urandom(3).hex()


def unique(prefix="fn"):
    return f"{prefix}-{_run}-{next(_numbers)}"


def language(runtime):
    return next(name for name in HANDLERS if runtime.startswith(name))


def zip_files(files, executable=("bootstrap",), level=zipfile.ZIP_DEFLATED):
    """{"name": text or bytes} as ZIP bytes; the same input gives the same bytes."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", level) as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo(name, (2024, 1, 1, 0, 0, 0))
            info.compress_type = level
            mode = 0o755 if name in executable else 0o644
            info.external_attr = (0o100000 | mode) << 16
            archive.writestr(info, content)
    return out.getvalue()


def zip_source(source, runtime=PYTHON):
    return zip_files({FILES[language(runtime)]: source})


class Functions:
    """What tests do with functions of one account and region, over a boto3 client."""

    def __init__(self, client, account="000000000000"):
        self.client = client
        self.account = account
        self.region = client.meta.region_name

    def arn(self, name, qualifier=None):
        arn = f"arn:aws:lambda:{self.region}:{self.account}:function:{name}"
        return f"{arn}:{qualifier}" if qualifier else arn

    def create(self, source=ECHO, name=None, runtime=PYTHON, wait=True, files=None, zipped=None, **settings):
        """CreateFunction with defaults; returns its answer. Waits until it is active."""
        if zipped is None:
            zipped = zip_files(files) if files else zip_source(source, runtime)
        request = {
            "FunctionName": name or unique(),
            "Runtime": runtime,
            "Handler": HANDLERS[language(runtime)],
            "Role": ROLE,
            "Code": {"ZipFile": zipped},
            **settings,
        }
        created = self.client.create_function(**request)
        if wait:
            self.wait(created["FunctionName"])
        return created

    def make(self, *args, **kwargs):
        """The name of a function that is ready."""
        return self.create(*args, **kwargs)["FunctionName"]

    def wait(self, name, qualifier=None, seconds=20):
        """Until it is active and no update is in progress; returns its configuration."""
        where = {"FunctionName": name, **({"Qualifier": qualifier} if qualifier else {})}
        deadline = time.monotonic() + seconds
        while True:
            found = self.client.get_function_configuration(**where)
            if found["State"] == "Active" and found.get("LastUpdateStatus") != "InProgress":
                return found
            assert found["State"] != "Failed", found
            assert time.monotonic() < deadline, f"not active in {seconds} s: {found}"
            time.sleep(0.01)

    def update_code(self, name, source, runtime=PYTHON, **more):
        answer = self.client.update_function_code(FunctionName=name, ZipFile=zip_source(source, runtime), **more)
        self.wait(name)
        return answer

    def update(self, name, **settings):
        answer = self.client.update_function_configuration(FunctionName=name, **settings)
        self.wait(name)
        return answer

    def publish(self, name, **more):
        version = self.client.publish_version(FunctionName=name, **more)
        self.wait(name, version["Version"])
        return version

    def invoke(self, name, event=None, **more):
        """(answer, payload as a tree) of an Invoke."""
        if event is not None and "Payload" not in more:
            more["Payload"] = json.dumps(event)
        answer = self.client.invoke(FunctionName=name, **more)
        payload = answer["Payload"].read()
        return answer, json.loads(payload) if payload else None

    def call(self, name, event=None, **more):
        """The function's result; fails when the function failed."""
        answer, payload = self.invoke(name, event, **more)
        assert "FunctionError" not in answer, payload
        return payload
