"""Tags of functions."""

import pytest

from harness.errors import arn, error, invalid, not_found, unmatched, validation

def tags_of(lambda_, name):
    return lambda_.list_tags(Resource=arn(name))["Tags"]


def test_a_life_of_tags(lambda_, functions):
    name = functions.make()
    resource = arn(name)
    assert tags_of(lambda_, name) == {}

    def tag(**tags):
        assert lambda_.tag_resource(Resource=resource, Tags=tags)["ResponseMetadata"]["HTTPStatusCode"] == 204
        return tags_of(lambda_, name)

    def untag(*keys):
        answer = lambda_.untag_resource(Resource=resource, TagKeys=list(keys))
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 204
        return tags_of(lambda_, name)

    assert tag(A="tag-a") == {"A": "tag-a"}
    assert tag(B="tag-b", C="tag-c") == {"A": "tag-a", "B": "tag-b", "C": "tag-c"}
    assert tag(C="tag-c-newsuffix", D="tag-d") == {"A": "tag-a", "B": "tag-b", "C": "tag-c-newsuffix", "D": "tag-d"}
    assert untag("A") == {"B": "tag-b", "C": "tag-c-newsuffix", "D": "tag-d"}
    assert untag("B", "C") == {"D": "tag-d"}
    assert untag("nobody") == {"D": "tag-d"}
    assert untag("D", "nobody") == {}


def test_tags_given_at_creation(lambda_, functions):
    name = functions.make(Tags={"testtag": "value", "empty": ""})
    assert tags_of(lambda_, name) == {"testtag": "value", "empty": ""}
    assert lambda_.get_function(FunctionName=name)["Tags"] == {"testtag": "value", "empty": ""}
    lambda_.untag_resource(Resource=arn(name), TagKeys=["testtag", "empty"])
    assert "Tags" not in lambda_.get_function(FunctionName=name)


def test_tags_with_awkward_characters(lambda_, functions):
    tags = {"a b": "c d", "path/like:this": "=+-@._", "ünï": "cödé", "a+b=c": "1/2"}
    name = functions.make(Tags=tags)
    assert tags_of(lambda_, name) == tags
    lambda_.untag_resource(Resource=arn(name), TagKeys=["a b", "path/like:this", "a+b=c"])
    assert tags_of(lambda_, name) == {"ünï": "cödé"}
    with error("ValidationException", status=400) as refused:
        lambda_.tag_resource(Resource=arn(name), Tags={"100%": "full"})
    assert "Map keys must satisfy constraint: [" in refused.message
    assert r"[\p{L}\p{Z}\p{N}_.:/=+\-@]*" in refused.message


def test_tags_do_not_change_the_revision_of_the_code(lambda_, functions):
    name = functions.make()
    before = functions.wait(name)
    lambda_.tag_resource(Resource=arn(name), Tags={"a": "b"})
    assert functions.wait(name)["CodeSha256"] == before["CodeSha256"]


OPERATIONS = {
    "list_tags": {},
    "tag_resource": {"Tags": {"a": "b"}},
    "untag_resource": {"TagKeys": ["a"]},
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_tags_of_a_missing_function(lambda_, operation):
    with not_found(f"Function not found: {arn('no-such-function')}") as caught:
        getattr(lambda_, operation)(Resource=arn("no-such-function"), **OPERATIONS[operation])
    assert caught.response["Type"] == "User"


@pytest.mark.parametrize("operation", OPERATIONS)
def test_tags_of_something_else(lambda_, operation):
    resource = "arn:aws:lambda:us-east-1:000000000000:foobar:thing"
    pattern = lambda_.meta.service_model.shape_for("TaggableResource").metadata["pattern"]
    with validation(unmatched(resource, "resource", pattern)):
        getattr(lambda_, operation)(Resource=resource, **OPERATIONS[operation])


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("qualifier", ["alias", "1", "$LATEST"])
def test_versions_and_aliases_have_no_tags(lambda_, functions, echo, operation, qualifier):
    with invalid("Tags on function aliases and versions are not supported. Please specify a function ARN.") as caught:
        getattr(lambda_, operation)(Resource=f"{arn(echo)}:{qualifier}", **OPERATIONS[operation])
    assert caught.response["Type"] == "User"


def test_fifty_tags_and_not_one_more(lambda_, functions):
    name = functions.make(Tags={f"key{i}": "v" for i in range(50)})
    with error("InvalidParameterValueException", status=400):
        lambda_.tag_resource(Resource=arn(name), Tags={"one-more": "v"})
    lambda_.tag_resource(Resource=arn(name), Tags={"key0": "changed"})
    assert len(tags_of(lambda_, name)) == 50


def test_tags_die_with_their_function(lambda_, functions):
    name = functions.make(Tags={"a": "b"})
    lambda_.delete_function(FunctionName=name)
    with not_found(f"Function not found: {arn(name)}"):
        lambda_.list_tags(Resource=arn(name))
    functions.make(name=name)
    assert tags_of(lambda_, name) == {}
