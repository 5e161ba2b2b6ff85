"""CreateFunction to DeleteFunction: shapes, defaults, states, listing."""

import base64
import hashlib
import platform
import re
import urllib.request

import pytest

from harness.errors import arn, conflict, error, invalid, not_found, validation
from harness.functions import ECHO, NODE, PROVIDED, PYTHON, ROLE, unique, zip_files, zip_source

LAST_MODIFIED = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+0000\Z")
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")


def without_metadata(answer):
    return {key: value for key, value in answer.items() if key != "ResponseMetadata"}


def sha256(data):
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


def test_create_answers_pending_with_every_default(lambda_, functions):
    code = zip_source(ECHO)
    name = unique()
    created = functions.create(name=name, zipped=code, wait=False)
    assert created["ResponseMetadata"]["HTTPStatusCode"] == 201

    body = without_metadata(created)
    runtime_arn = body.pop("RuntimeVersionConfig")["RuntimeVersionArn"]
    assert re.fullmatch(r"arn:aws:lambda:us-east-1::runtime:[0-9a-f]{64}", runtime_arn)
    assert LAST_MODIFIED.match(body.pop("LastModified"))
    assert UUID.match(body.pop("RevisionId"))
    assert body == {
        "Architectures": ["arm64" if platform.machine() == "aarch64" else "x86_64"],
        "CodeSha256": sha256(code),
        "CodeSize": len(code),
        "Description": "",
        "EphemeralStorage": {"Size": 512},
        "FunctionArn": arn(name),
        "FunctionName": name,
        "Handler": "lambda_function.handler",
        "LoggingConfig": {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{name}"},
        "MemorySize": 128,
        "PackageType": "Zip",
        "Role": ROLE,
        "Runtime": PYTHON,
        "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"},
        "State": "Pending",
        "StateReason": "The function is being created.",
        "StateReasonCode": "Creating",
        "Timeout": 3,
        "TracingConfig": {"Mode": "PassThrough"},
        "Version": "$LATEST",
    }


def test_an_active_function_has_no_reasons_and_a_new_revision(lambda_, functions):
    created = functions.create()
    found = functions.wait(created["FunctionName"])
    assert (found["State"], found["LastUpdateStatus"]) == ("Active", "Successful")
    for gone in ("StateReason", "StateReasonCode", "LastUpdateStatusReason", "LastUpdateStatusReasonCode"):
        assert gone not in found
    assert found["RevisionId"] != created["RevisionId"]
    same = set(without_metadata(created)) - {"State", "StateReason", "StateReasonCode", "RevisionId"}
    assert {key: found[key] for key in same} == {key: created[key] for key in same}


def test_get_function_answers_configuration_and_a_location_of_the_code(lambda_, functions):
    code = zip_source(ECHO)
    name = functions.make(zipped=code)
    answer = without_metadata(lambda_.get_function(FunctionName=name))
    assert set(answer) == {"Code", "Configuration"}
    assert answer["Code"]["RepositoryType"] == "S3"
    configuration = without_metadata(lambda_.get_function_configuration(FunctionName=name))
    assert answer["Configuration"] == configuration
    with urllib.request.urlopen(answer["Code"]["Location"]) as download:
        assert download.status == 200
        assert download.read() == code


def test_the_location_of_the_code_needs_its_signature(lambda_, functions):
    name = functions.make()
    location = lambda_.get_function(FunctionName=name)["Code"]["Location"]
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(location.partition("?")[0])
    assert refused.value.code in (400, 403, 404)


def test_get_function_shows_tags_and_concurrency_only_where_there_are_any(lambda_, functions):
    name = functions.make(Tags={"team": "blue"})
    lambda_.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=3)
    answer = lambda_.get_function(FunctionName=name)
    assert answer["Tags"] == {"team": "blue"}
    assert answer["Concurrency"] == {"ReservedConcurrentExecutions": 3}


def test_every_setting_given_at_creation_is_kept(lambda_, functions):
    settings = {
        "Description": "all of it – with ünïcode",
        "Timeout": 77,
        "MemorySize": 1234,
        "Environment": {"Variables": {"AA": "1", "BB": "two words", "CC": ""}},
        "TracingConfig": {"Mode": "Active"},
        "EphemeralStorage": {"Size": 1024},
        "LoggingConfig": {
            "LogFormat": "JSON",
            "ApplicationLogLevel": "DEBUG",
            "SystemLogLevel": "WARN",
            "LogGroup": "some/group",
        },
    }
    created = functions.create(**settings)
    found = functions.wait(created["FunctionName"])
    for where in (created, found):
        assert {key: where[key] for key in settings} == settings


def test_an_empty_environment_is_kept_and_a_missing_one_is_not_shown(functions):
    assert functions.create(Environment={"Variables": {}})["Environment"] == {"Variables": {}}
    assert "Environment" not in functions.create()


@pytest.mark.parametrize(
    "given, shown",
    [
        ({"LogFormat": "JSON"}, {"LogFormat": "JSON", "ApplicationLogLevel": "INFO", "SystemLogLevel": "INFO"}),
        ({"LogFormat": "Text"}, {"LogFormat": "Text"}),
        ({"LogGroup": "cool_lambda"}, {"LogFormat": "Text", "LogGroup": "cool_lambda"}),
    ],
)
def test_logging_config_is_filled_with_defaults(lambda_, functions, given, shown):
    name = functions.make()
    shown = {"LogGroup": f"/aws/lambda/{name}", **shown}
    updated = functions.update(name, LoggingConfig=given)
    assert updated["LoggingConfig"] == shown
    assert functions.wait(name)["LoggingConfig"] == shown


def test_logging_levels_go_away_with_the_json_format(functions):
    name = functions.make(LoggingConfig={"LogFormat": "JSON"})
    functions.update(name, LoggingConfig={"LogFormat": "Text"})
    assert functions.wait(name)["LoggingConfig"] == {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{name}"}


def test_the_log_group_stays_when_the_format_changes(functions):
    name = functions.make(LoggingConfig={"LogFormat": "JSON"})
    updated = functions.update(name, LoggingConfig={"LogGroup": "cool_lambda"})
    assert updated["LoggingConfig"] == {
        "LogFormat": "JSON",
        "ApplicationLogLevel": "INFO",
        "SystemLogLevel": "INFO",
        "LogGroup": "cool_lambda",
    }


def test_update_code_is_in_progress_and_then_successful(lambda_, functions):
    name = functions.make()
    before = functions.wait(name)
    code = zip_source("def handler(event, context):\n    return 'new'\n")
    updated = lambda_.update_function_code(FunctionName=name, ZipFile=code)
    assert updated["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert updated["State"] == "Active"
    assert updated["LastUpdateStatus"] == "InProgress"
    assert updated["LastUpdateStatusReason"] == "The function is being created."
    assert updated["LastUpdateStatusReasonCode"] == "Creating"
    assert (updated["CodeSha256"], updated["CodeSize"]) == (sha256(code), len(code))
    assert updated["Version"] == "$LATEST"
    after = functions.wait(name)
    assert after["LastUpdateStatus"] == "Successful"
    assert len({before["RevisionId"], updated["RevisionId"], after["RevisionId"]}) == 3
    assert functions.call(name) == "new"


def test_update_configuration_changes_what_is_given_and_nothing_else(lambda_, functions):
    name = functions.make(Description="keep", Environment={"Variables": {"AA": "1"}})
    updated = lambda_.update_function_configuration(FunctionName=name, Timeout=9)
    assert updated["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert (updated["LastUpdateStatus"], updated["LastUpdateStatusReasonCode"]) == ("InProgress", "Creating")
    after = functions.wait(name)
    assert (after["Timeout"], after["Description"], after["Environment"]) == (9, "keep", {"Variables": {"AA": "1"}})

    other_role = "arn:aws:iam::000000000000:role/other"
    functions.update(name, Role=other_role, Handler="lambda_function.other", Runtime="python3.11", MemorySize=256)
    after = functions.wait(name)
    assert (after["Role"], after["Handler"], after["Runtime"], after["MemorySize"]) == (
        other_role,
        "lambda_function.other",
        "python3.11",
        256,
    )


def test_an_updated_environment_replaces_the_old_one(functions):
    name = functions.make(
        "import os\ndef handler(e, c):\n    return [os.environ.get('AA'), os.environ.get('BB')]\n",
        Environment={"Variables": {"AA": "1"}},
    )
    assert functions.call(name) == ["1", None]
    functions.update(name, Environment={"Variables": {"BB": "2"}})
    assert functions.call(name) == [None, "2"]


def test_update_code_dry_run_changes_nothing(lambda_, functions):
    name = functions.make()
    before = functions.wait(name)
    answer = lambda_.update_function_code(FunctionName=name, ZipFile=zip_source("other = 1\n"), DryRun=True)
    assert answer["CodeSha256"] != before["CodeSha256"]
    assert functions.wait(name)["CodeSha256"] == before["CodeSha256"]
    assert functions.wait(name)["RevisionId"] == before["RevisionId"]


def test_the_architecture_is_that_of_the_node(lambda_, functions):
    """AWS has both everywhere; here another one than the node's is refused, not accepted and ignored."""
    here, other = ("arm64", "x86_64") if platform.machine() == "aarch64" else ("x86_64", "arm64")
    name = functions.make(Architectures=[here])
    updated = lambda_.update_function_code(FunctionName=name, ZipFile=zip_source(ECHO), Architectures=[here])
    assert updated["Architectures"] == [here]
    with invalid() as caught:
        lambda_.update_function_code(FunctionName=name, ZipFile=zip_source(ECHO), Architectures=[other])
    assert other in caught.message and here in caught.message


def test_delete_answers_204_and_the_function_is_gone(lambda_, functions):
    name = functions.make()
    assert lambda_.delete_function(FunctionName=name)["ResponseMetadata"]["HTTPStatusCode"] == 204
    with not_found(f"Function not found: {arn(name)}"):
        lambda_.get_function(FunctionName=name)
    with not_found(f"Function not found: {arn(name)}:$LATEST"):
        lambda_.invoke(FunctionName=name)
    with not_found(f"Function not found: {arn(name)}"):
        lambda_.delete_function(FunctionName=name)


def test_a_name_can_be_used_again_after_deletion(lambda_, functions):
    name = functions.make("def handler(e, c):\n    return 'first'\n")
    assert functions.call(name) == "first"
    functions.publish(name)
    lambda_.delete_function(FunctionName=name)
    functions.make("def handler(e, c):\n    return 'second'\n", name=name)
    assert functions.call(name) == "second"
    versions = lambda_.list_versions_by_function(FunctionName=name)["Versions"]
    assert [v["Version"] for v in versions] == ["$LATEST"]


def test_a_second_function_of_the_name_is_a_conflict(functions):
    name = functions.make()
    with conflict(f"Function already exist: {name}") as caught:
        functions.create(name=name)
    assert caught.response["Type"] == "User"


@pytest.mark.parametrize(
    "operation",
    [
        "get_function",
        "get_function_configuration",
        "get_function_concurrency",
        "get_function_code_signing_config",
        "delete_function",
    ],
)
def test_operations_on_a_missing_function(lambda_, operation):
    with not_found(f"Function not found: {arn('no-such-function')}") as caught:
        getattr(lambda_, operation)(FunctionName="no-such-function")
    assert caught.response["Type"] == "User"
    assert caught.response["Message"] == caught.message


def test_updates_of_a_missing_function(lambda_):
    with not_found(f"Function not found: {arn('no-such-function')}"):
        lambda_.update_function_code(FunctionName="no-such-function", ZipFile=zip_source(ECHO))
    with not_found(f"Function not found: {arn('no-such-function')}"):
        lambda_.update_function_configuration(FunctionName="no-such-function", Timeout=4)
    with not_found(f"Function not found: {arn('no-such-function')}"):
        lambda_.publish_version(FunctionName="no-such-function")
    with not_found(f"Function not found: {arn('no-such-function')}"):
        lambda_.list_versions_by_function(FunctionName="no-such-function")


def test_code_signing_config_of_a_function_is_empty(lambda_, echo):
    answer = without_metadata(lambda_.get_function_code_signing_config(FunctionName=echo))
    assert answer.get("FunctionName", echo) == echo
    assert not answer.get("CodeSigningConfigArn")


def test_broken_zips_are_refused(functions):
    message = "Could not unzip uploaded file. Please check your file, then try to upload again."
    for broken in (b"this is not a zip file", zip_source(ECHO)[:40]):
        with invalid(message) as caught:
            functions.create(zipped=broken)
        assert caught.response["Type"] == "User"


def test_a_function_whose_zip_was_refused_does_not_exist(lambda_, functions):
    name = unique()
    with invalid():
        functions.create(name=name, zipped=b"no zip")
    with not_found(f"Function not found: {arn(name)}"):
        lambda_.get_function(FunctionName=name)


def test_an_empty_zip_is_refused(functions):
    with invalid("Uploaded file must be a non-empty zip"):
        functions.create(zipped=zip_files({}))


def test_code_from_s3_and_images_say_clearly_that_they_do_not_exist_yet(lambda_, functions):
    name = functions.make()
    for code in ({"S3Bucket": "bucket", "S3Key": "key"}, {"ImageUri": "000000000000.dkr.ecr.us-east-1.amazonaws.com/x:1"}):
        kind = {"PackageType": "Image"} if "ImageUri" in code else {"Runtime": PYTHON, "Handler": "a.b"}
        with error("InvalidParameterValueException") as caught:
            lambda_.create_function(FunctionName=unique(), Role=ROLE, Code=code, **kind)
        assert "S3" in caught.message or "mage" in caught.message
    with invalid("Please don't provide ImageUri when updating a function with packageType Zip."):
        lambda_.update_function_code(FunctionName=name, ImageUri="000000000000.dkr.ecr.us-east-1.amazonaws.com/x:1")


RUNTIMES = (
    "nodejs20.x, python3.14, provided.al2023, python3.12, python3.13, nodejs24.x, nodejs22.x, java25, python3.10, "
    "python3.11, java21, ruby3.3, ruby3.4, ruby3.2, python3.8, python3.9, java17, nodejs16.x, dotnet10, dotnet8, "
    "java11, dotnet6, nodejs18.x, provided.al2, java8.al2"
)


@pytest.mark.parametrize("runtime", ["non-existent-runtime", "PYTHON3.9"])
def test_an_unknown_runtime_is_told_the_list(lambda_, functions, echo, runtime):
    message = (
        f"Value {runtime} at 'runtime' failed to satisfy constraint: "
        f"Member must satisfy enum value set: [{RUNTIMES}] or be a valid ARN"
    )
    with invalid(message) as caught:
        functions.create(Runtime=runtime)
    assert caught.response["Type"] == "User"
    with invalid(message):
        lambda_.update_function_configuration(FunctionName=echo, Runtime=runtime)


@pytest.mark.parametrize("runtime", ["go1.x", "provided", "python3.7"])
def test_a_retired_runtime_is_refused(functions, runtime):
    message = (
        f"The runtime parameter of {runtime} is no longer supported for creating or updating AWS Lambda functions. "
        "We recommend you use a supported runtime while creating or updating functions."
    )
    with invalid(message) as caught:
        functions.create(Runtime=runtime)
    assert caught.response["Type"] == "User"


@pytest.mark.parametrize("runtime", RUNTIMES.split(", "))
def test_every_current_runtime_can_be_created(functions, runtime):
    created = functions.create(wait=False, Runtime=runtime, Handler="a.b")
    assert created["Runtime"] == runtime
    assert functions.wait(created["FunctionName"])["State"] == "Active"


@pytest.mark.parametrize(
    "settings, text",
    [
        (
            {"Architectures": ["x86_64", "arm64"]},
            "Value '[x86_64, arm64]' at 'architectures' failed to satisfy constraint: "
            "Member must have length less than or equal to 1",
        ),
        (
            {"Architectures": ["X86_64"]},
            "Value '[X86_64]' at 'architectures' failed to satisfy constraint: Member must satisfy constraint: "
            "[Member must satisfy enum value set: [x86_64, arm64], Member must not be null]",
        ),
        (
            {"Role": "r1"},
            "Value 'r1' at 'role' failed to satisfy constraint: Member must satisfy regular expression pattern: "
            r"arn:(aws[a-zA-Z-]*)?:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+",
        ),
        (
            {"SnapStart": {"ApplyOn": "invalidOption"}},
            "Value 'invalidOption' at 'snapStart.applyOn' failed to satisfy constraint: "
            "Member must satisfy enum value set: [PublishedVersions, None]",
        ),
        (
            {"Timeout": 0},
            "Value '0' at 'timeout' failed to satisfy constraint: Member must have value greater than or equal to 1",
        ),
        (
            {"MemorySize": 127},
            "Value '127' at 'memorySize' failed to satisfy constraint: "
            "Member must have value greater than or equal to 128",
        ),
        (
            {"EphemeralStorage": {"Size": 511}},
            "Value '511' at 'ephemeralStorage.size' failed to satisfy constraint: "
            "Member must have value greater than or equal to 512",
        ),
        (
            {"EphemeralStorage": {"Size": 10241}},
            "Value '10241' at 'ephemeralStorage.size' failed to satisfy constraint: "
            "Member must have value less than or equal to 10240",
        ),
        (
            {"TracingConfig": {"Mode": "Always"}},
            "Value 'Always' at 'tracingConfig.mode' failed to satisfy constraint: "
            "Member must satisfy enum value set: [Active, PassThrough]",
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_settings_that_the_model_forbids(functions, settings, text):
    with validation(text):
        functions.create(wait=False, **settings)


@pytest.mark.parametrize("settings", [{"Timeout": 901}, {"MemorySize": 10241}, {"Timeout": 10**6}], ids=str)
def test_settings_above_the_quota(functions, settings):
    """Quotas: 900 seconds, 10,240 MB. The models allow more (for managed instances), the service does not."""
    with pytest.raises(functions.client.exceptions.ClientError) as refused:
        functions.create(wait=False, **settings)
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert refused.value.response["Error"]["Code"] in ("ValidationException", "InvalidParameterValueException")
    (name,) = settings
    assert name.lower() in refused.value.response["Error"]["Message"].lower()


def test_layers_that_do_not_exist_are_refused(functions):
    layer = "arn:aws:lambda:us-east-1:000000000000:layer:doesnotexist:1"
    with invalid(f"Layer version {layer} does not exist."):
        functions.create(Layers=[layer])


def test_more_than_five_layers_are_refused(functions):
    layers = [f"arn:aws:lambda:us-east-1:000000000000:layer:layer{i}:1" for i in range(6)]
    with invalid("Cannot reference more than 5 layers."):
        functions.create(Layers=layers)


def test_list_functions_shows_latest_without_states(empty_world):
    first, second = sorted([unique("a"), unique("b")])
    empty_world.create(name=first, Publish=True)
    empty_world.create(name=second)
    listed = empty_world.client.list_functions()
    assert [f["FunctionName"] for f in listed["Functions"]] == [first, second]
    assert "NextMarker" not in listed
    for function in listed["Functions"]:
        assert function["Version"] == "$LATEST"
        assert function["FunctionArn"] == empty_world.arn(function["FunctionName"])
        for absent in ("State", "LastUpdateStatus", "StateReason", "RuntimeVersionConfig"):
            assert absent not in function


def test_list_functions_of_all_versions_has_qualified_arns(empty_world):
    first, second = sorted([unique("a"), unique("b")])
    empty_world.create(name=first, Publish=True)
    empty_world.create(name=second)
    listed = empty_world.client.list_functions(FunctionVersion="ALL")["Functions"]
    assert [f["FunctionArn"] for f in listed] == [
        empty_world.arn(first, "$LATEST"),
        empty_world.arn(first, "1"),
        empty_world.arn(second, "$LATEST"),
    ]
    with validation(
        "Value 'invalid' at 'functionVersion' failed to satisfy constraint: Member must satisfy enum value set: [ALL]"
    ):
        empty_world.client.list_functions(FunctionVersion="invalid")


def test_list_functions_pages_through_everything_once(empty_world):
    names = sorted(empty_world.create(name=unique("page"), wait=False)["FunctionName"] for _ in range(7))
    seen, marker, pages = [], None, 0
    while True:
        page = empty_world.client.list_functions(MaxItems=3, **({"Marker": marker} if marker else {}))
        seen += [f["FunctionName"] for f in page["Functions"]]
        pages += 1
        marker = page.get("NextMarker")
        if not marker:
            break
        assert len(page["Functions"]) == 3
    assert (seen, pages) == (names, 3)


def test_a_marker_that_was_never_given_out_is_refused(empty_world):
    with error("InvalidParameterValueException"):
        empty_world.client.list_functions(Marker="bogus")


def test_account_settings_count_functions_and_code(empty_world):
    client = empty_world.client
    before = without_metadata(client.get_account_settings())
    assert before["AccountUsage"] == {"FunctionCount": 0, "TotalCodeSize": 0}
    assert set(before["AccountLimit"]) == {
        "CodeSizeUnzipped",
        "CodeSizeZipped",
        "ConcurrentExecutions",
        "TotalCodeSize",
        "UnreservedConcurrentExecutions",
    }
    assert before["AccountLimit"]["CodeSizeUnzipped"] == 262144000
    assert before["AccountLimit"]["CodeSizeZipped"] == 52428800
    code = zip_source(ECHO)
    name = empty_world.make(zipped=code)
    used = client.get_account_settings()["AccountUsage"]
    assert used == {"FunctionCount": 1, "TotalCodeSize": len(code)}
    empty_world.update(name, Timeout=5)
    assert client.get_account_settings()["AccountUsage"] == used
    empty_world.publish(name)
    assert client.get_account_settings()["AccountUsage"]["TotalCodeSize"] == 2 * len(code)
    client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=7)
    limits = client.get_account_settings()["AccountLimit"]
    assert limits["UnreservedConcurrentExecutions"] == limits["ConcurrentExecutions"] - 7


def test_node_and_provided_functions_have_the_same_shape(functions):
    for runtime, source in ((NODE, "exports.handler = async (e) => e;\n"), (PROVIDED, "#!/bin/sh\n")):
        created = functions.create(source, runtime=runtime)
        assert created["Runtime"] == runtime
        assert functions.wait(created["FunctionName"])["State"] == "Active"


def test_a_vpc_is_kept_and_shown(functions):
    vpc = {"SubnetIds": ["subnet-0a"], "SecurityGroupIds": ["sg-0a"]}
    created = functions.create(VpcConfig=vpc)
    shown = {**vpc, "VpcId": "", "Ipv6AllowedForDualStack": False}
    assert created["VpcConfig"] == shown
    assert functions.wait(created["FunctionName"])["VpcConfig"] == shown
    assert functions.call(created["FunctionName"], {"a": 1}) == {"a": 1}
    updated = functions.update(created["FunctionName"], VpcConfig={"SubnetIds": [], "SecurityGroupIds": []})
    assert updated["VpcConfig"]["SubnetIds"] == []
    with invalid("SecurityGroupIds and SubnetIds must coexist or be both empty list."):
        functions.create(VpcConfig={"SubnetIds": ["subnet-0a"]})


def test_runtimes_are_updated_automatically_and_in_no_other_way(lambda_, functions):
    name = functions.make()
    answer = lambda_.put_runtime_management_config(FunctionName=name, UpdateRuntimeOn="Auto")
    assert (answer["UpdateRuntimeOn"], answer["FunctionArn"]) == ("Auto", functions.arn(name, "$LATEST"))
    assert lambda_.get_runtime_management_config(FunctionName=name)["UpdateRuntimeOn"] == "Auto"
    for when in ("Manual", "FunctionUpdate"):
        with invalid(
            f"UpdateRuntimeOn {when} is not available in mayfly: functions run on what is installed on the node."
        ):
            lambda_.put_runtime_management_config(FunctionName=name, UpdateRuntimeOn=when)


LEFT_OUT = [
    ("create_capacity_provider", {"CapacityProviderName": "x", "VpcConfig": {}, "PermissionsConfig": {}}),
    ("list_capacity_providers", {}),
    ("get_function_scaling_config", {"FunctionName": "x", "Qualifier": "1"}),
    ("list_durable_executions_by_function", {"FunctionName": "x"}),
    ("stop_durable_execution", {"DurableExecutionArn": "x"}),
]


@pytest.mark.parametrize("operation, parameters", LEFT_OUT, ids=[row[0] for row in LEFT_OUT])
def test_operations_that_are_left_out_are_named(lambda_, operation, parameters):
    name = "".join(word.capitalize() for word in operation.split("_"))
    with error("NotImplementedException", status=501) as caught:
        getattr(lambda_, operation)(**parameters)
    assert f"The operation {name} of" in caught.message and "not available" in caught.message
