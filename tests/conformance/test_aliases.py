"""Aliases: their life, the routing weights, and who is invoked in the end."""

import collections

import pytest

from harness.errors import arn, conflict, error, invalid, not_found, precondition, validation
from harness.functions import unique

VERSION = "def handler(event, context):\n    return ['{}', context.function_version, context.invoked_function_arn]\n"


@pytest.fixture(scope="module")
def two(functions):
    """A function with versions 1 and 2 of different code. Tests make aliases of their own on it."""
    name = functions.make(VERSION.format("one"))
    functions.publish(name)
    functions.update_code(name, VERSION.format("two"))
    functions.publish(name)
    return name


def test_create_get_update_delete(lambda_, two):
    alias = unique("alias")
    created = lambda_.create_alias(FunctionName=two, Name=alias, FunctionVersion="1", Description="custom-alias")
    assert created["ResponseMetadata"]["HTTPStatusCode"] == 201
    created.pop("ResponseMetadata")
    revision = created.pop("RevisionId")
    assert created == {
        "AliasArn": f"{arn(two)}:{alias}",
        "Name": alias,
        "FunctionVersion": "1",
        "Description": "custom-alias",
    }
    found = lambda_.get_alias(FunctionName=two, Name=alias)
    assert (found["RevisionId"], found["FunctionVersion"]) == (revision, "1")

    updated = lambda_.update_alias(FunctionName=two, Name=alias, FunctionVersion="2")
    assert updated["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert (updated["FunctionVersion"], updated["Description"]) == ("2", "custom-alias")
    assert updated["RevisionId"] != revision

    deleted = lambda_.delete_alias(FunctionName=two, Name=alias)
    assert deleted["ResponseMetadata"]["HTTPStatusCode"] == 204
    with not_found(f"Cannot find alias arn: {arn(two)}:{alias}"):
        lambda_.get_alias(FunctionName=two, Name=alias)


def test_a_description_is_empty_by_default(lambda_, two):
    assert lambda_.create_alias(FunctionName=two, Name=unique("a"), FunctionVersion="1")["Description"] == ""


def test_invoking_an_alias_runs_the_version_it_points_to(lambda_, functions, two):
    alias = unique("moving")
    lambda_.create_alias(FunctionName=two, Name=alias, FunctionVersion="1")
    qualified = f"{arn(two)}:{alias}"
    answer, payload = functions.invoke(two, {}, Qualifier=alias)
    assert (answer["ExecutedVersion"], payload) == ("1", ["one", "1", qualified])
    assert functions.call(qualified, {}) == ["one", "1", qualified]
    lambda_.update_alias(FunctionName=two, Name=alias, FunctionVersion="2")
    answer, payload = functions.invoke(two, {}, Qualifier=alias)
    assert (answer["ExecutedVersion"], payload) == ("2", ["two", "2", qualified])


def test_an_alias_of_latest(lambda_, functions, two):
    alias = unique("latest")
    created = lambda_.create_alias(FunctionName=two, Name=alias, FunctionVersion="$LATEST")
    assert created["FunctionVersion"] == "$LATEST"
    assert functions.call(two, {}, Qualifier=alias)[1] == "$LATEST"


def test_getting_a_function_through_an_alias(lambda_, two):
    alias = unique("get")
    lambda_.create_alias(FunctionName=two, Name=alias, FunctionVersion="1")
    found = lambda_.get_function(FunctionName=two, Qualifier=alias)["Configuration"]
    assert (found["Version"], found["FunctionArn"]) == ("1", f"{arn(two)}:{alias}")


def test_a_date_is_a_name_and_a_number_is_not(lambda_, two):
    created = lambda_.create_alias(FunctionName=two, Name="2024-01-02", FunctionVersion="1")
    assert created["AliasArn"] == f"{arn(two)}:2024-01-02"
    with validation(
        "Value '2024' at 'name' failed to satisfy constraint: "
        "Member must satisfy regular expression pattern: (?!^[0-9]+$)([a-zA-Z0-9-_]+)"
    ):
        lambda_.create_alias(FunctionName=two, Name="2024", FunctionVersion="1")


def test_deleting_a_missing_alias_is_fine(lambda_, two):
    answer = lambda_.delete_alias(FunctionName=two, Name="non-existent")
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 204


def test_missing_aliases(lambda_, two):
    with not_found(f"Alias not found: {arn(two)}:non-existent") as caught:
        lambda_.update_alias(FunctionName=two, Name="non-existent", Description="new")
    assert (caught.response["Type"], caught.response["Message"]) == ("User", caught.message)
    with not_found(f"Cannot find alias arn: {arn(two)}:non-existent"):
        lambda_.get_alias(FunctionName=two, Name="non-existent")
    with not_found(f"Function not found: {arn(two)}:non-existent-alias"):
        lambda_.invoke(FunctionName=two, Qualifier="non-existent-alias")


def test_missing_targets(lambda_, two):
    with not_found(f"Function not found: {arn(two)}:10"):
        lambda_.create_alias(FunctionName=two, Name=unique("a"), FunctionVersion="10")
    with not_found(f"Function not found: {arn(two)}-unknown:1"):
        lambda_.create_alias(FunctionName=two + "-unknown", Name=unique("a"), FunctionVersion="1")
    with not_found(f"Function not found: {arn(two)}:10"):
        lambda_.create_alias(
            FunctionName=two,
            Name=unique("a"),
            FunctionVersion="1",
            RoutingConfig={"AdditionalVersionWeights": {"10": 0.5}},
        )


def test_an_alias_of_the_name_exists(lambda_, two):
    alias = unique("twice")
    lambda_.create_alias(FunctionName=two, Name=alias, FunctionVersion="1")
    with conflict(f"Alias already exists: {arn(two)}:{alias}") as caught:
        lambda_.create_alias(FunctionName=two, Name=alias, FunctionVersion="1")
    assert caught.response["Type"] == "User"


VALUES = (
    "Map value must satisfy constraint: [Member must have value less than or equal to 1.0, "
    "Member must have value greater than or equal to 0.0, Member must not be null]"
)
KEYS = (
    "Map keys must satisfy constraint: [Member must have length less than or equal to 1024, "
    "Member must have length greater than or equal to 1, Member must satisfy regular expression pattern: [0-9]+]"
)


@pytest.mark.parametrize(
    "weights, shown, constraint",
    [({"2": 2.0}, "{2=2.0}", VALUES), ({"2": -1.0}, "{2=-1.0}", VALUES), ({"$LATEST": 0.5}, "{$LATEST=0.5}", KEYS)],
    ids=["too-high", "below-zero", "latest"],
)
def test_weights_that_the_model_forbids(lambda_, two, weights, shown, constraint):
    with validation(
        f"Value '{shown}' at 'routingConfig.additionalVersionWeights' failed to satisfy constraint: {constraint}"
    ):
        lambda_.create_alias(
            FunctionName=two,
            Name=unique("a"),
            FunctionVersion="1",
            RoutingConfig={"AdditionalVersionWeights": weights},
        )


@pytest.mark.parametrize(
    "version, weights, message",
    [
        ("1", {"1": 0.5}, "Invalid function version 1. Function version 1 is already included in routing configuration."),
        ("1", {"1": 0.2, "2": 0.2}, "Number of items in AdditionalVersionWeights cannot be greater than 1"),
        ("$LATEST", {"1": 0.5}, "$LATEST is not supported for an alias pointing to more than 1 version"),
    ],
    ids=["same-version", "too-many", "latest"],
)
def test_routings_that_make_no_sense(lambda_, two, version, weights, message):
    with invalid(message):
        lambda_.create_alias(
            FunctionName=two,
            Name=unique("a"),
            FunctionVersion=version,
            RoutingConfig={"AdditionalVersionWeights": weights},
        )


def test_an_empty_routing_is_not_shown(lambda_, two):
    created = lambda_.create_alias(
        FunctionName=two, Name=unique("a"), FunctionVersion="1", RoutingConfig={"AdditionalVersionWeights": {}}
    )
    assert "RoutingConfig" not in created


def test_half_of_the_invocations_go_to_the_other_version(lambda_, functions, two):
    alias = unique("split")
    created = lambda_.create_alias(
        FunctionName=two,
        Name=alias,
        FunctionVersion="1",
        RoutingConfig={"AdditionalVersionWeights": {"2": 0.5}},
    )
    assert created["RoutingConfig"] == {"AdditionalVersionWeights": {"2": 0.5}}
    assert lambda_.get_alias(FunctionName=two, Name=alias)["RoutingConfig"] == created["RoutingConfig"]

    counted = collections.Counter()
    for _ in range(200):
        answer, payload = functions.invoke(two, {}, Qualifier=alias)
        assert payload[1] == answer["ExecutedVersion"]
        counted[answer["ExecutedVersion"]] += 1
    # Fair coins leave 60..140 of 200 less than once in ten million times.
    assert set(counted) == {"1", "2"} and 60 <= counted["2"] <= 140, counted


@pytest.mark.parametrize("weight, only", [(1.0, "2"), (0.0, "1")])
def test_weights_at_the_ends_are_exact(lambda_, functions, two, weight, only):
    alias = unique("end")
    lambda_.create_alias(
        FunctionName=two,
        Name=alias,
        FunctionVersion="1",
        RoutingConfig={"AdditionalVersionWeights": {"2": weight}},
    )
    assert {functions.invoke(two, {}, Qualifier=alias)[0]["ExecutedVersion"] for _ in range(30)} == {only}


def test_routing_is_taken_away_by_an_empty_one(lambda_, functions, two):
    alias = unique("back")
    lambda_.create_alias(
        FunctionName=two, Name=alias, FunctionVersion="1", RoutingConfig={"AdditionalVersionWeights": {"2": 1.0}}
    )
    assert functions.call(two, {}, Qualifier=alias)[1] == "2"
    updated = lambda_.update_alias(FunctionName=two, Name=alias, RoutingConfig={"AdditionalVersionWeights": {}})
    assert "RoutingConfig" not in updated
    assert functions.call(two, {}, Qualifier=alias)[1] == "1"


def test_revisions_guard_aliases(lambda_, two):
    alias = unique("guarded")
    old = lambda_.create_alias(FunctionName=two, Name=alias, FunctionVersion="1")["RevisionId"]
    new = lambda_.update_alias(FunctionName=two, Name=alias, Description="x", RevisionId=old)["RevisionId"]
    assert new != old
    with error("PreconditionFailedException", status=412):
        lambda_.update_alias(FunctionName=two, Name=alias, Description="y", RevisionId=old)
    assert lambda_.get_alias(FunctionName=two, Name=alias)["Description"] == "x"


def test_list_aliases_pages_filters_and_sorts(lambda_, functions):
    name = functions.make()
    functions.publish(name)
    functions.update(name, Timeout=7)
    functions.publish(name)
    for i in range(5):
        lambda_.create_alias(FunctionName=name, Name=f"a{i}", FunctionVersion="2" if i == 3 else "1")
    listed = lambda_.list_aliases(FunctionName=name)
    assert [a["Name"] for a in listed["Aliases"]] == [f"a{i}" for i in range(5)]
    of_two = lambda_.list_aliases(FunctionName=name, FunctionVersion="2")["Aliases"]
    assert [a["Name"] for a in of_two] == ["a3"]
    first = lambda_.list_aliases(FunctionName=name, MaxItems=2)
    second = lambda_.list_aliases(FunctionName=name, MaxItems=10, Marker=first["NextMarker"])
    assert [a["Name"] for a in first["Aliases"] + second["Aliases"]] == [f"a{i}" for i in range(5)]


def test_list_aliases_of_a_missing_function(lambda_):
    with not_found(f"Function not found: {arn('no-such-function')}"):
        lambda_.list_aliases(FunctionName="no-such-function")


def test_aliases_die_with_their_function(lambda_, functions):
    name = functions.make()
    functions.publish(name)
    lambda_.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    lambda_.delete_function(FunctionName=name)
    functions.make(name=name)
    assert lambda_.list_aliases(FunctionName=name)["Aliases"] == []


def test_precondition_wording(lambda_, two):
    alias = unique("word")
    lambda_.create_alias(FunctionName=two, Name=alias, FunctionVersion="1")
    with precondition():
        lambda_.update_alias(FunctionName=two, Name=alias, RevisionId="11111111-1111-1111-1111-111111111111")
