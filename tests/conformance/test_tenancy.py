"""Tenants kept apart: no execution environment ever serves two of them."""

import json

import pytest

from harness.errors import error, invalid
from harness.functions import NODE, RUBY, unique

PER_TENANT = {"TenancyConfig": {"TenantIsolationMode": "PER_TENANT"}}
MISSING = (
    "The invoked function is enabled with tenancy configuration. Add a valid tenant ID in your request and try again."
)
UNWANTED = (
    "The invoked function is not enabled with tenancy configuration. "
    "Remove the tenant ID from your request and try again."
)
WHO = """
import os
seen = []
def handler(event, context):
    seen.append(context.tenant_id)
    return {"seen": seen, "stream": os.environ["AWS_LAMBDA_LOG_STREAM_NAME"]}
"""


@pytest.fixture(scope="module")
def who(functions):
    return functions.make(WHO, **PER_TENANT)


def test_the_configuration_is_shown_and_stays(functions, lambda_):
    name = unique()
    made = functions.create(name=name, **PER_TENANT)
    assert made["TenancyConfig"] == PER_TENANT["TenancyConfig"]
    functions.update(name, Description="changed")
    found = lambda_.get_function_configuration(FunctionName=name)
    assert found["TenancyConfig"] == PER_TENANT["TenancyConfig"]
    assert functions.publish(name)["TenancyConfig"] == PER_TENANT["TenancyConfig"]
    assert "TenancyConfig" not in functions.create()


def test_each_tenant_has_environments_of_its_own(functions, who):
    answers = {tenant: [] for tenant in ("blue", "green", "a/b:c=d+e@f g.h_i-j")}
    for _ in range(3):
        for tenant in answers:
            answers[tenant].append(functions.call(who, {}, TenantId=tenant))
    for tenant, calls in answers.items():
        assert all(set(one["seen"]) == {tenant} for one in calls)
    streams = [{one["stream"] for one in calls} for calls in answers.values()]
    assert not (streams[0] & streams[1] or streams[1] & streams[2] or streams[0] & streams[2])


@pytest.mark.parametrize(
    "runtime, source",
    [
        (NODE, "exports.handler = async (event, context) => context.tenantId;\n"),
        (RUBY, "def handler(event:, context:)\n  context.tenant_id\nend\n"),
    ],
)
def test_other_languages_have_it_in_their_context(functions, runtime, source):
    handler = {"Handler": "function.handler"} if runtime == RUBY else {}
    name = functions.make(source, runtime=runtime, **PER_TENANT)
    assert functions.call(name, {}, TenantId="blue") == "blue"
    assert functions.call(name, {}, TenantId="green") == "green"


def test_a_streamed_invocation_has_its_tenant(functions, lambda_, who):
    answer = lambda_.invoke_with_response_stream(FunctionName=who, TenantId="red", Payload=b"{}")
    events = list(answer["EventStream"])
    text = b"".join(event["PayloadChunk"]["Payload"] for event in events if "PayloadChunk" in event)
    assert json.loads(text)["seen"] == ["red"]
    with invalid(MISSING):
        lambda_.invoke_with_response_stream(FunctionName=who, Payload=b"{}")


def test_without_a_tenant_it_is_refused(functions, who):
    for more in ({}, {"InvocationType": "Event"}, {"InvocationType": "DryRun"}):
        with invalid(MISSING):
            functions.invoke(who, {}, **more)


def test_who_has_no_tenants_takes_none(functions, echo):
    for more in ({}, {"InvocationType": "Event"}, {"InvocationType": "DryRun"}):
        with invalid(UNWANTED):
            functions.invoke(echo, {}, TenantId="blue", **more)


@pytest.mark.parametrize("tenant", ["a#b", "x" * 257, "\u00fc"])
def test_what_is_no_tenant_is_refused_in_the_models_words(functions, who, tenant):
    with error("ValidationException", status=400) as caught:
        functions.invoke(who, {}, TenantId=tenant)
    assert "at 'tenantId' failed to satisfy constraint" in caught.message


def test_json_records_have_the_tenant(functions, logs, eventually):
    source = "import logging\ndef handler(event, context):\n    logging.getLogger().warning('hello')\n"
    name = functions.make(source, LoggingConfig={"LogFormat": "JSON", "SystemLogLevel": "DEBUG"}, **PER_TENANT)
    functions.call(name, {}, TenantId="blue")
    group = f"/aws/lambda/{name}"

    def records():
        try:
            events = logs.filter_log_events(logGroupName=group)["events"]
        except logs.exceptions.ResourceNotFoundException:
            return None  # not written yet
        lines = [json.loads(event["message"]) for event in events]
        return lines if any(line.get("type") == "platform.report" for line in lines) else None

    lines = eventually(records)
    platform = {line["type"]: line["record"] for line in lines if "type" in line}
    for kind in ("platform.start", "platform.runtimeDone", "platform.report"):
        assert platform[kind]["tenantId"] == "blue"
    assert platform["platform.start"]["functionArn"] == functions.arn(name)
    (own,) = [line for line in lines if line.get("message") == "hello"]
    assert own["tenantId"] == "blue"


def test_an_asynchronous_invocation_has_its_tenant(functions, logs, eventually):
    name = functions.make("def handler(event, context):\n    print('for', context.tenant_id)\n", **PER_TENANT)
    answer, _ = functions.invoke(name, {}, TenantId="green", InvocationType="Event")
    assert answer["StatusCode"] == 202

    def is_logged():
        try:
            events = logs.filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"]
        except logs.exceptions.ResourceNotFoundException:
            return False
        return "for green\n" in [event["message"] for event in events]

    eventually(is_logged)


def test_what_does_not_go_with_tenants_is_refused(functions, lambda_):
    with invalid("SnapStart is not supported for functions with tenancy configuration."):
        functions.create(SnapStart={"ApplyOn": "PublishedVersions"}, **PER_TENANT)
    name = functions.make(**PER_TENANT)
    functions.publish(name)
    with invalid("Provisioned Concurrency is not supported for functions with tenancy configuration."):
        lambda_.put_provisioned_concurrency_config(FunctionName=name, Qualifier="1", ProvisionedConcurrentExecutions=1)
    with invalid("FunctionUrlConfig is not supported for functions with tenancy configuration."):
        lambda_.create_function_url_config(FunctionName=name, AuthType="NONE")
    with error("ValidationException", status=400):
        functions.create(TenancyConfig={"TenantIsolationMode": "NONE"})
