"""Code signing configurations: kept, shown, and enforced. No code has a signature that is trusted here."""

from harness.errors import error, not_found
from harness.functions import unique, zip_files

SIGNER = "arn:aws:signer:us-east-1:000000000000:/signing-profiles/test"
GONE = "arn:aws:lambda:us-east-1:000000000000:code-signing-config:csc-00000000000000000"
UNSIGNED = (
    "Lambda cannot deploy the function. The function or layer might be signed using a signature that the client is not "
    "configured to accept. Check the provided signature for unsigned."
)


def make(client, policy, **more):
    answer = client.create_code_signing_config(
        AllowedPublishers={"SigningProfileVersionArns": [SIGNER]},
        CodeSigningPolicies={"UntrustedArtifactOnDeployment": policy},
        **more,
    )
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 201
    return answer["CodeSigningConfig"]


def test_the_life_of_a_configuration(empty_world):
    client = empty_world.client
    made = make(client, "Enforce", Description="Testing CodeSigning Config", Tags={"a": "b"})
    arn = made["CodeSigningConfigArn"]
    assert made["Description"] == "Testing CodeSigning Config"
    assert made["CodeSigningPolicies"] == {"UntrustedArtifactOnDeployment": "Enforce"}
    assert client.get_code_signing_config(CodeSigningConfigArn=arn)["CodeSigningConfig"] == made
    updated = client.update_code_signing_config(
        CodeSigningConfigArn=arn, CodeSigningPolicies={"UntrustedArtifactOnDeployment": "Warn"}
    )["CodeSigningConfig"]
    changed = {"CodeSigningPolicies": {"UntrustedArtifactOnDeployment": "Warn"}, "LastModified": updated["LastModified"]}
    assert updated == {**made, **changed}
    assert client.list_code_signing_configs()["CodeSigningConfigs"] == [updated]
    assert client.list_tags(Resource=arn)["Tags"] == {"a": "b"}
    client.tag_resource(Resource=arn, Tags={"c": "d"})
    client.untag_resource(Resource=arn, TagKeys=["a"])
    assert client.list_tags(Resource=arn)["Tags"] == {"c": "d"}
    assert client.delete_code_signing_config(CodeSigningConfigArn=arn)["ResponseMetadata"]["HTTPStatusCode"] == 204
    with not_found(f"The Lambda code signing configuration {arn} can not be found."):
        client.get_code_signing_config(CodeSigningConfigArn=arn)


def test_a_function_with_a_configuration(lambda_, functions):
    arn = make(lambda_, "Warn")["CodeSigningConfigArn"]
    name = functions.make()
    put = lambda_.put_function_code_signing_config(FunctionName=name, CodeSigningConfigArn=arn)
    assert (put["FunctionName"], put["CodeSigningConfigArn"]) == (name, arn)
    got = lambda_.get_function_code_signing_config(FunctionName=name)
    assert (got["FunctionName"], got["CodeSigningConfigArn"]) == (name, arn)
    listed = lambda_.list_functions_by_code_signing_config(CodeSigningConfigArn=arn)
    assert listed["FunctionArns"] == [functions.arn(name)]
    with error("ResourceConflictException", status=409):
        lambda_.delete_code_signing_config(CodeSigningConfigArn=arn)
    assert functions.call(name, {"a": 1}) == {"a": 1}
    functions.update_code(name, "def handler(event, context):\n    return 2\n")  # a warning is no obstacle
    assert functions.call(name) == 2
    deleted = lambda_.delete_function_code_signing_config(FunctionName=name)
    assert deleted["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert "CodeSigningConfigArn" not in lambda_.get_function_code_signing_config(FunctionName=name)
    lambda_.delete_code_signing_config(CodeSigningConfigArn=arn)


def test_enforcing_keeps_unsigned_code_out(lambda_, functions):
    arn = make(lambda_, "Enforce")["CodeSigningConfigArn"]
    with error("CodeVerificationFailedException", UNSIGNED, 400):
        functions.create(CodeSigningConfigArn=arn)
    name = functions.make()
    lambda_.put_function_code_signing_config(FunctionName=name, CodeSigningConfigArn=arn)
    with error("CodeVerificationFailedException", UNSIGNED, 400):
        functions.update_code(name, "def handler(event, context):\n    return 2\n")
    layer = lambda_.publish_layer_version(LayerName=unique("layer"), Content={"ZipFile": zip_files({"x": "y"})})
    with error("CodeVerificationFailedException", UNSIGNED, 400):
        functions.update(name, Layers=[layer["LayerVersionArn"]])
    functions.update(name, MemorySize=256)
    assert functions.call(name, {"a": 1}) == {"a": 1}  # what was deployed before goes on


def test_configurations_that_do_not_exist(lambda_, functions, echo):
    missing = f"The code signing configuration cannot be found. Check that the provided configuration is not deleted: {GONE}."
    with error("CodeSigningConfigNotFoundException", missing, 404):
        lambda_.put_function_code_signing_config(FunctionName=echo, CodeSigningConfigArn=GONE)
    with error("CodeSigningConfigNotFoundException", missing, 404):
        functions.create(CodeSigningConfigArn=GONE)
    for operation in ("get_code_signing_config", "delete_code_signing_config", "list_functions_by_code_signing_config"):
        with not_found(f"The Lambda code signing configuration {GONE} can not be found."):
            getattr(lambda_, operation)(CodeSigningConfigArn=GONE)
    with not_found(f"Code signing configuration not found: {GONE}"):
        lambda_.list_tags(Resource=GONE)
