"""botocore's own examples for Lambda: where the operation exists, the call is made as printed there and the answer
has the keys of the printed answer."""

import contextlib
import json
import re

import botocore.exceptions
import pytest
from botocore import xform_name
from botocore.loaders import Loader

from harness.functions import zip_source
from harness.walk import UNMODELLED_ERRORS

EXAMPLES = Loader().load_data("lambda/2015-03-31/examples-1")["examples"]
CASES = [
    pytest.param(operation, example, id=f"{operation}-{i}")
    for operation, examples in sorted(EXAMPLES.items())
    for i, example in enumerate(examples)
]
ACCOUNT, REGION = "123456789012", "us-west-2"

# What the examples assume and print, but AWS today answers otherwise or only sometimes.
NOT_ANSWERED = {
    "Environment",  # only where it was set
    "KMSKeyArn",
    "RoutingConfig",
    "ReservedConcurrentExecutions",
}
NOT_ANSWERED_BY = {
    "CreateFunction": {"LastUpdateStatus"},  # while it is Pending
    "ListFunctions": {"NextMarker"},  # printed as "": there are no more
}

LAYER = {
    "Content": {"ZipFile": zip_source("VALUE = 1\n")},
    "Description": "My Python layer",
    "CompatibleRuntimes": ["python3.7"],
    "LicenseInfo": "MIT",
}

# What must have been put before it can be read or deleted.
PUT_BEFORE = {
    "FunctionEventInvokeConfig": {"MaximumRetryAttempts": 0, "MaximumEventAgeInSeconds": 3600},
    "ProvisionedConcurrencyConfig": {"ProvisionedConcurrentExecutions": 1},
}


@pytest.fixture(scope="module")
def west(aws):
    return aws.functions(region=REGION, account=ACCOUNT)


@pytest.fixture
def prepared(west):
    """my-function as the examples know it: versions 1 to 3, aliases, tags, policies."""
    client = west.client
    for function in client.list_functions()["Functions"]:
        client.delete_function(FunctionName=function["FunctionName"])
    for name in ("my-function", "myFunction"):
        west.make("def handler(event, context):\n    return '200 SUCCESS'\n", name=name, Handler="lambda_function.handler")
    for timeout in (11, 12, 13):
        west.update("my-function", Timeout=timeout)
        west.publish("my-function")
    for alias, version in (("BLUE", "3"), ("GREEN", "2"), ("PROD", "3")):
        client.create_alias(FunctionName="my-function", Name=alias, FunctionVersion=version)
    client.tag_resource(Resource=west.arn("my-function"), Tags={"Category": "Web Tools", "Department": "Sales"})
    for qualifier in ("1", "PROD"):
        client.add_permission(
            FunctionName="my-function",
            StatementId="xaccount",
            Action="lambda:InvokeFunction",
            Principal="123456789012",
            Qualifier=qualifier,
        )
    client.put_function_concurrency(FunctionName="my-function", ReservedConcurrentExecutions=250)
    return west


def prepare_layer(client):
    """my-layer with a version 1, which nobody deletes: numbers are never given twice."""
    if not client.list_layer_versions(LayerName="my-layer")["LayerVersions"]:
        client.publish_layer_version(**LAYER, LayerName="my-layer")


def prepare_input(operation, example):
    given = dict(example.get("input") or {})
    if operation == "PublishLayerVersion":
        given["Content"] = LAYER["Content"]  # printed with an object in S3
    if operation == "GetLayerVersionByArn":
        given["Arn"] = f"arn:aws:lambda:{REGION}:{ACCOUNT}:layer:my-layer:1"  # printed in another region
    if operation == "CreateFunction":
        given["FunctionName"] = "another-function"
        given["Code"] = {"ZipFile": zip_source("exports.handler = async () => 1;\n", "nodejs22.x")}
        given["Runtime"] = "nodejs22.x"  # the printed one is retired
        given.pop("KMSKeyArn", None)
    if operation == "UpdateFunctionCode":
        given = {"FunctionName": "my-function", "ZipFile": zip_source("def handler(e, c):\n    return 2\n")}
    if operation == "PublishVersion":
        given.pop("CodeSha256", None)
    return given


def put_before(client, operation, example):
    """The examples that read and delete a configuration assume that of an earlier example."""
    verb, what = re.fullmatch("([A-Z][a-z]+)(.*)", operation).groups()
    if "Layer" in what:
        prepare_layer(client)
    if operation == "RemoveLayerVersionPermission":
        with contextlib.suppress(client.exceptions.ResourceConflictException):  # added by the example of that
            client.add_layer_version_permission(**example["input"], Action="lambda:GetLayerVersion", Principal="*")
    if verb in ("Get", "Delete", "Update") and what in PUT_BEFORE:
        named = {key: value for key, value in example["input"].items() if key in ("FunctionName", "Qualifier")}
        getattr(client, xform_name("Put" + what))(**named, **PUT_BEFORE[what])


@pytest.mark.parametrize("operation, example", CASES)
def test_example(prepared, operation, example):
    client = prepared.client
    call = getattr(client, xform_name(operation))
    try:
        put_before(client, operation, example)
        answer = call(**prepare_input(operation, example))
    except botocore.exceptions.ClientError as error:
        code = error.response["Error"]["Code"]
        message = error.response["Error"]["Message"]
        if error.operation_name in message and code in UNMODELLED_ERRORS:
            pytest.skip(f"{operation} needs what does not exist yet: {message}")
        raise
    expected = {key for key in (example.get("output") or {}) if key not in NOT_ANSWERED | NOT_ANSWERED_BY.get(operation, set())}
    missing = expected - set(answer)
    assert not missing, f"printed but not answered: {sorted(missing)}"
    if operation == "Invoke" and answer["StatusCode"] == 200:
        assert json.loads(answer["Payload"].read()) == "200 SUCCESS"
