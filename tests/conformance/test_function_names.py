"""How functions may be named: every form of the identity, qualifiers, and what is wrong with the rest."""

import pytest

from harness.errors import (
    NAME_PATTERN,
    NAME_PATTERN_CREATE,
    QUALIFIER_MISMATCH,
    QUALIFIER_PATTERN,
    arn,
    error,
    invalid,
    not_found,
    too_long,
    unmatched,
    validation,
)
from harness.functions import unique

ACCOUNT = "000000000000"
REGION = "us-east-1"
A65, A129, A170 = "a" * 65, "a" * 129, "a" * 170

WHO = "def handler(event, context):\n    return context.invoked_function_arn\n"


@pytest.fixture(scope="module")
def named(functions, lambda_):
    """A function with version 1 and alias `live`, which answers its own ARN as it was invoked."""
    name = functions.make(WHO)
    functions.publish(name)
    lambda_.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    return name


FORMS = {
    "name": "{name}",
    "function-colon-name": "function:{name}",
    "partial-arn": f"{ACCOUNT}:function:{{name}}",
    "region-and-partial-arn": f"{REGION}:{ACCOUNT}:function:{{name}}",
    "full-arn": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{{name}}",
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
@pytest.mark.parametrize("qualifier, version", [(None, "$LATEST"), ("$LATEST", "$LATEST"), ("1", "1"), ("live", "1")])
def test_every_form_of_the_name_finds_the_function(lambda_, functions, named, form, qualifier, version):
    spelled = form.format(name=named)
    expected = functions.arn(named, qualifier)
    variants = [{"FunctionName": spelled, **({"Qualifier": qualifier} if qualifier else {})}]
    if qualifier:
        variants.append({"FunctionName": f"{spelled}:{qualifier}"})
        variants.append({"FunctionName": f"{spelled}:{qualifier}", "Qualifier": qualifier})
    for variant in variants:
        found = lambda_.get_function_configuration(**variant)
        assert (found["FunctionName"], found["Version"], found["FunctionArn"]) == (named, version, expected)
        assert lambda_.get_function(**variant)["Configuration"]["FunctionArn"] == expected
        answer, seen = functions.invoke(variant.pop("FunctionName"), {}, **variant)
        assert (answer["ExecutedVersion"], seen) == (version, expected)


@pytest.mark.parametrize("form", ["full-arn", "partial-arn"])
def test_a_function_can_be_created_by_its_arn(functions, form):
    name = unique("by-arn")
    created = functions.create(name=FORMS[form].format(name=name))
    assert (created["FunctionName"], created["FunctionArn"]) == (name, arn(name))


def test_updates_accept_arns(lambda_, functions):
    name = functions.make()
    updated = functions.update(arn(name), Description="by arn")
    assert updated["Description"] == "by arn"
    assert functions.publish(arn(name))["Version"] == "1"


def test_functions_of_another_region_are_not_reachable(lambda_, functions):
    elsewhere = arn("fn", region="ap-southeast-1")
    message = f"Functions from 'ap-southeast-1' are not reachable in this region ('{REGION}')"
    for operation in ("get_function", "get_function_configuration", "invoke"):
        with not_found(message) as caught:
            getattr(lambda_, operation)(FunctionName=elsewhere)
        assert caught.response["Type"] == "User"
    with not_found(message):
        functions.create(name=elsewhere)


def test_functions_cannot_be_created_in_another_account(functions):
    with error("AccessDeniedException", status=403):
        functions.create(name=arn("fn", account="123456789012"))


def test_a_name_of_65_characters_is_too_long_to_create(functions):
    with invalid("1 validation error detected: " + too_long(A65, "functionName", 64)) as caught:
        functions.create(name=A65)
    assert caught.response["Type"] == "User"


def test_a_name_of_64_characters_is_fine(functions, lambda_):
    name = unique("x").ljust(64, "x")
    assert functions.create(name=name)["FunctionName"] == name
    lambda_.delete_function(FunctionName=name)


def test_an_arn_of_more_than_140_characters_is_too_long_to_create(functions):
    long_arn = arn("a" * 100)
    assert len(long_arn) > 140
    with validation(too_long(long_arn, "functionName", 140)):
        functions.create(name=long_arn)


BAD_FOR_CREATE = {
    "one-invalid-character": "*",
    "colons": "invalid:function:name",
    "two-qualifiers": arn("my-function") + ":1:2",
    "no-account-number": "invalid-account:function:my-function",
    "exclamation-mark-in-qualifier": "my-function:invalid!",
    "no-region": f"arn:aws:lambda:invalid-region:{ACCOUNT}:function:my-function",
    "latest-and-qualifier": arn("my-function") + ":$LATEST:1",
    "lower-case-latest": arn("my-function") + ":$latest",
    "misspelled-latest": arn("my-function") + ":$LATES",
    "empty-account": f"arn:aws:lambda:{REGION}::function:my-function",
    "empty-region": f"arn:aws:lambda::{ACCOUNT}:function:my-function",
    "extra-part": "function:my-function:$LATEST:extra",
}


@pytest.mark.parametrize("name", BAD_FOR_CREATE.values(), ids=BAD_FOR_CREATE.keys())
def test_names_that_create_refuses(functions, name):
    with validation(unmatched(name, "functionName", NAME_PATTERN_CREATE)):
        functions.create(name=name)


def test_create_tells_all_violations_of_a_name(functions):
    name = f"arn:aws:lambda:invalid-region:{ACCOUNT}:function:my-function-{A170}:{A129}"
    with validation(too_long(name, "functionName", 140), unmatched(name, "functionName", NAME_PATTERN_CREATE)):
        functions.create(name=name)


BAD_FOR_LOOK_UP = {
    "one-invalid-character": "*",
    "exclamation-mark": "my-function!",
    "two-qualifiers": arn("my-function") + ":1:2",
    "no-account-number": "invalid-account:function:my-function",
    "no-region": f"arn:aws:lambda:invalid-region:{ACCOUNT}:function:my-function",
    "no-region-and-too-long": f"arn:aws:lambda:invalid-region:{ACCOUNT}:function:my-function{A170}",
    "misspelled-latest": arn("my-function") + ":$LATES",
    "empty-account": f"arn:aws:lambda:{REGION}::function:my-function",
    "empty-region": f"arn:aws:lambda::{ACCOUNT}:function:my-function",
    "another-service": f"arn:aws:ec2:{REGION}:{ACCOUNT}:instance:i-1234567890abcdef0",
    "extra-part": "function:my-function:$LATEST:extra",
    "at-sign": f"arn:aws:lambda:{REGION}:123400000000@function:myfn",
}


@pytest.mark.parametrize("operation", ["get_function", "delete_function", "invoke"])
@pytest.mark.parametrize("name", BAD_FOR_LOOK_UP.values(), ids=BAD_FOR_LOOK_UP.keys())
def test_names_that_look_ups_refuse(lambda_, operation, name):
    with validation(unmatched(name, "functionName", NAME_PATTERN)):
        getattr(lambda_, operation)(FunctionName=name)


@pytest.mark.parametrize("operation", ["get_function", "delete_function", "invoke"])
def test_a_long_qualifier_is_refused(lambda_, operation):
    with validation(too_long(A129, "qualifier", 128)):
        getattr(lambda_, operation)(FunctionName="my-function", Qualifier=A129)


@pytest.mark.parametrize("operation", ["delete_function", "invoke"])
def test_the_qualifier_and_the_name_are_judged_together(lambda_, operation):
    name = f"arn:aws:lambda:invalid-region:{ACCOUNT}:function:my-function-{A170}"
    with validation(too_long(A129, "qualifier", 128), unmatched(name, "functionName", NAME_PATTERN)):
        getattr(lambda_, operation)(FunctionName=name, Qualifier=A129)


@pytest.mark.parametrize("operation", ["get_function", "invoke"])
def test_a_qualifier_with_a_forbidden_character(lambda_, operation):
    with validation(unmatched("invalid!", "qualifier", QUALIFIER_PATTERN)):
        getattr(lambda_, operation)(FunctionName="my-function", Qualifier="invalid!")


def test_a_missing_function_is_named_with_its_qualifier(lambda_):
    missing = arn("my-function")
    for qualifier in (A65, "$latest", "7", "$LATEST"):
        with not_found(f"Function not found: {missing}:{qualifier}"):
            lambda_.get_function(FunctionName="my-function", Qualifier=qualifier)
        with not_found(f"Function not found: {missing}:{qualifier}"):
            lambda_.invoke(FunctionName="my-function", Qualifier=qualifier)
    with not_found(f"Function not found: {missing}:$LATEST"):
        lambda_.invoke(FunctionName="my-function")
    with not_found(f"Function not found: {missing}"):
        lambda_.get_function(FunctionName="my-function")


def test_delete_with_a_qualifier_of_a_missing_function(lambda_):
    missing = arn("my-function")
    with not_found(f"Function not found: {missing}"):
        lambda_.delete_function(FunctionName="my-function")
    with not_found(f"Function not found: {missing}"):
        lambda_.delete_function(FunctionName="my-function", Qualifier="$latest")
    with not_found(f"Function not found: {missing}"):
        lambda_.delete_function(FunctionName="my-function", Qualifier="1")


@pytest.mark.parametrize("qualifier", [A65, "some-alias"])
def test_aliases_are_not_deleted_through_delete_function(lambda_, qualifier):
    with invalid("Deletion of aliases is not currently supported."):
        lambda_.delete_function(FunctionName="my-function", Qualifier=qualifier)


def test_latest_cannot_be_deleted_by_its_qualifier(lambda_, functions):
    name = functions.make()
    with invalid("$LATEST version cannot be deleted without deleting the function."):
        lambda_.delete_function(FunctionName=name, Qualifier="$LATEST")
    assert functions.wait(name)["State"] == "Active"


@pytest.mark.parametrize("operation", ["get_function", "get_function_configuration", "delete_function", "invoke"])
def test_two_qualifiers_that_differ(lambda_, operation):
    with invalid(QUALIFIER_MISMATCH) as caught:
        getattr(lambda_, operation)(FunctionName=arn("some-function") + ":$LATEST", Qualifier="1")
    assert caught.response["Type"] == "User"


@pytest.mark.parametrize("operation", ["get_function", "get_function_configuration"])
def test_two_qualifiers_that_agree(lambda_, operation):
    with not_found(f"Function not found: {arn('some-function')}:$LATEST"):
        getattr(lambda_, operation)(FunctionName=arn("some-function") + ":$LATEST", Qualifier="$LATEST")


def test_the_word_function_alone_is_a_name(lambda_):
    incomplete = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function"
    for operation in ("get_function", "delete_function"):
        with not_found(f"Function not found: {arn('function')}"):
            getattr(lambda_, operation)(FunctionName=incomplete)


def test_long_names_are_looked_up_all_the_same(lambda_):
    for operation, shown in (("get_function", A65), ("delete_function", A65), ("invoke", A65 + ":$LATEST")):
        with not_found(f"Function not found: {arn(shown)}"):
            getattr(lambda_, operation)(FunctionName=A65)
