"""The AWS SDK of the tests, as a function's dependency: what a ZIP needs of it, and a function that uses it."""

import functools
import io
import pathlib
import zipfile

import botocore

PACKAGES = ("botocore", "boto3", "s3transfer", "jmespath", "dateutil", "urllib3", "six.py")
MODELS = ("lambda", "sts", "iam", "s3", "logs")

# {"service", "operation", "params", "client": {…}} → the answer, or the error's code, message and status.
CALLER = """
import json, os, boto3, botocore.config, botocore.exceptions

def handler(event, context):
    once = botocore.config.Config(retries={"total_max_attempts": 1}, connect_timeout=5, **event.get("config", {}))
    client = boto3.client(event["service"], config=once, **event.get("client", {}))
    try:
        answer = getattr(client, event["operation"])(**event.get("params", {}))
    except botocore.exceptions.ClientError as error:
        return {"error": error.response["Error"], "status": error.response["ResponseMetadata"]["HTTPStatusCode"]}
    answer.pop("ResponseMetadata")
    return {key: value.read().decode() if hasattr(value, "read") else value for key, value in answer.items()}
"""

# For functions without an SDK: signed("lambda", "/path", b"body") is a request that urllib can send.
SIGNED = """
import datetime, hashlib, hmac, os, urllib.parse, urllib.request

def signed(service, path, body, method="POST"):
    env, url = os.environ, urllib.parse.urlsplit(os.environ["AWS_ENDPOINT_URL"])
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    fields = {"host": url.netloc, "x-amz-date": now, "x-amz-security-token": env["AWS_SESSION_TOKEN"]}
    names, scope = ";".join(fields), [now[:8], env["AWS_REGION"], service, "aws4_request"]
    lines = [method, path, "", *(f"{name}:{value}" for name, value in fields.items()), "", names]
    hashed = hashlib.sha256("\\n".join([*lines, hashlib.sha256(body).hexdigest()]).encode()).hexdigest()
    key = b"AWS4" + env["AWS_SECRET_ACCESS_KEY"].encode()
    for part in scope:
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    text = "\\n".join(["AWS4-HMAC-SHA256", now, "/".join(scope), hashed])
    fields["Authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={env['AWS_ACCESS_KEY_ID']}/{'/'.join(scope)}, SignedHeaders={names}, "
        f"Signature={hmac.new(key, text.encode(), hashlib.sha256).hexdigest()}")
    del fields["host"]
    return urllib.request.Request(env["AWS_ENDPOINT_URL"] + path, body or None, fields, method=method)
"""


def is_wanted(path):
    if "__pycache__" in path.parts or path.suffix in (".so", ".pyi"):
        return False
    if path.parts[:2] != ("botocore", "data") or len(path.parts) == 3:
        return True
    return path.parts[2] in MODELS and "examples" not in path.name


@functools.cache
def zip_with_sdk(source=CALLER):
    """A deployment package: this as lambda_function.py, with boto3 beside it."""
    root = pathlib.Path(botocore.__file__).parents[1]
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("lambda_function.py", source)
        for package in PACKAGES:
            top = root / package
            for path in [top] if top.is_file() else sorted(top.rglob("*")):
                if path.is_file() and is_wanted(path.relative_to(root)):
                    archive.write(path, path.relative_to(root))
    return out.getvalue()
