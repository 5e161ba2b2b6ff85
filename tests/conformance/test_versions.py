"""PublishVersion, ListVersionsByFunction, deletion of versions, revision ids and code hashes."""

import pytest

from harness.errors import arn, conflict, error, invalid, not_found, precondition
from harness.functions import ECHO, zip_source

VERSION = "def handler(event, context):\n    return ['{}', context.function_version, context.invoked_function_arn]\n"


def test_publish_freezes_code_and_configuration(lambda_, functions):
    name = functions.make(VERSION.format("one"), Description="latest")
    published = lambda_.publish_version(FunctionName=name, Description="first version")
    assert published["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert (published["Version"], published["FunctionArn"]) == ("1", arn(name) + ":1")
    assert published["Description"] == "first version"
    functions.wait(name, "1")

    functions.update_code(name, VERSION.format("two"))
    functions.update(name, Description="changed", Timeout=8)
    frozen = functions.wait(name, "1")
    assert (frozen["Description"], frozen["Timeout"]) == ("first version", 3)
    assert frozen["CodeSha256"] == published["CodeSha256"]
    assert functions.call(name, {}, Qualifier="1") == ["one", "1", arn(name) + ":1"]
    assert functions.call(name, {}) == ["two", "$LATEST", arn(name)]


def test_publishing_without_a_change_answers_the_same_version(lambda_, functions):
    name = functions.make()
    first = functions.publish(name)
    again = lambda_.publish_version(FunctionName=name)
    assert (again["ResponseMetadata"]["HTTPStatusCode"], again["Version"]) == (201, "1")
    assert (again["RevisionId"], again["State"]) == (functions.wait(name, "1")["RevisionId"], "Active")
    assert first["FunctionArn"] == again["FunctionArn"]
    functions.update(name, Timeout=5)
    assert functions.publish(name)["Version"] == "2"


def test_publish_on_create(lambda_, functions):
    created = functions.create(Publish=True)
    name = created["FunctionName"]
    assert (created["Version"], created["FunctionArn"], created["State"]) == ("1", arn(name), "Pending")
    functions.wait(name, "1")
    listed = lambda_.list_versions_by_function(FunctionName=name)["Versions"]
    assert [(v["Version"], v["FunctionArn"]) for v in listed] == [
        ("$LATEST", arn(name) + ":$LATEST"),
        ("1", arn(name) + ":1"),
    ]
    assert lambda_.publish_version(FunctionName=name)["Version"] == "1"
    assert lambda_.get_function(FunctionName=name, Qualifier="$LATEST")["Configuration"]["FunctionArn"].endswith(":$LATEST")


def test_publish_with_update_code(lambda_, functions):
    name = functions.make(VERSION.format("one"))
    updated = lambda_.update_function_code(FunctionName=name, ZipFile=zip_source(VERSION.format("two")), Publish=True)
    assert updated["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert (updated["Version"], updated["FunctionArn"]) == ("1", arn(name) + ":1")
    assert (updated["State"], updated["StateReasonCode"]) == ("Pending", "Creating")
    assert "LastUpdateStatus" not in updated
    functions.wait(name, "1")
    functions.wait(name)
    assert functions.call(name, {}, Qualifier="1")[0] == "two"


def test_publish_checks_the_code_hash(lambda_, functions):
    name = functions.make()
    current = functions.wait(name)["CodeSha256"]
    with invalid(
        f"CodeSHA256 (somenonexistentsha256) is different from current CodeSHA256 in $LATEST ({current}). "
        "Please try again with the CodeSHA256 in $LATEST."
    ) as caught:
        lambda_.publish_version(FunctionName=name, CodeSha256="somenonexistentsha256")
    assert caught.response["Type"] == "User"
    assert lambda_.publish_version(FunctionName=name, CodeSha256=current)["Version"] == "1"


def test_publish_checks_the_revision(lambda_, functions):
    name = functions.make()
    revision = functions.wait(name)["RevisionId"]
    with precondition() as caught:
        lambda_.publish_version(FunctionName=name, RevisionId="00000000-0000-0000-0000-000000000000")
    assert caught.response["Type"] == "User"
    assert lambda_.publish_version(FunctionName=name, RevisionId=revision)["Version"] == "1"


def test_list_versions_has_no_states(lambda_, functions):
    name = functions.make()
    functions.publish(name)
    for version in lambda_.list_versions_by_function(FunctionName=name)["Versions"]:
        for absent in ("State", "LastUpdateStatus", "RuntimeVersionConfig"):
            assert absent not in version


def test_list_versions_pages_and_keeps_the_order(lambda_, functions):
    name = functions.make()
    for timeout in range(11, 23):
        functions.update(name, Timeout=timeout)
        lambda_.publish_version(FunctionName=name)
    seen, marker = [], None
    while True:
        page = lambda_.list_versions_by_function(FunctionName=name, MaxItems=5, **({"Marker": marker} if marker else {}))
        seen += [v["Version"] for v in page["Versions"]]
        marker = page.get("NextMarker")
        if not marker:
            break
    assert seen == ["$LATEST"] + [str(i) for i in range(1, 13)]


def test_numbers_of_deleted_versions_are_not_used_again(lambda_, functions):
    name = functions.make()
    functions.publish(name)
    functions.update(name, Timeout=4)
    functions.publish(name)
    assert lambda_.delete_function(FunctionName=name, Qualifier="2")["ResponseMetadata"]["HTTPStatusCode"] == 204
    with not_found(f"Function not found: {arn(name)}:2"):
        lambda_.get_function(FunctionName=name, Qualifier="2")
    versions = lambda_.list_versions_by_function(FunctionName=name)["Versions"]
    assert [v["Version"] for v in versions] == ["$LATEST", "1"]
    functions.update(name, Timeout=5)
    assert functions.publish(name)["Version"] == "3"


def test_deleting_a_missing_version_is_fine(lambda_, functions):
    name = functions.make()
    assert lambda_.delete_function(FunctionName=name, Qualifier="42")["ResponseMetadata"]["HTTPStatusCode"] == 204


def test_a_version_that_an_alias_points_to_cannot_be_deleted(lambda_, functions):
    name = functions.make()
    functions.publish(name)
    lambda_.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    with conflict() as caught:
        lambda_.delete_function(FunctionName=name, Qualifier="1")
    assert "live" in caught.message
    lambda_.delete_alias(FunctionName=name, Name="live")
    lambda_.delete_function(FunctionName=name, Qualifier="1")


def test_revisions_guard_updates(lambda_, functions):
    name = functions.make()
    old = functions.wait(name)["RevisionId"]
    functions.update(name, Timeout=4, RevisionId=old)
    with precondition() as caught:
        lambda_.update_function_configuration(FunctionName=name, Timeout=5, RevisionId=old)
    assert caught.response["Type"] == "User"
    with precondition():
        lambda_.update_function_code(FunctionName=name, ZipFile=zip_source(ECHO), RevisionId=old)
    current = functions.wait(name)["RevisionId"]
    functions.update_code(name, ECHO, RevisionId=current)
    assert functions.wait(name)["Timeout"] == 4


def test_every_change_makes_a_new_revision(lambda_, functions):
    created = functions.create(wait=False)
    name = created["FunctionName"]
    revisions = [created["RevisionId"], functions.wait(name)["RevisionId"]]
    revisions.append(lambda_.update_function_code(FunctionName=name, ZipFile=zip_source(ECHO))["RevisionId"])
    revisions.append(functions.wait(name)["RevisionId"])
    revisions.append(lambda_.update_function_configuration(FunctionName=name, Timeout=9)["RevisionId"])
    revisions.append(functions.wait(name)["RevisionId"])
    assert len(set(revisions)) == 6


def test_reading_does_not_change_the_revision(lambda_, functions):
    name = functions.make()
    revision = functions.wait(name)["RevisionId"]
    functions.call(name, {})
    lambda_.list_functions()
    assert functions.wait(name)["RevisionId"] == revision


def test_missing_versions_cannot_be_invoked(lambda_, functions):
    name = functions.make()
    with not_found(f"Function not found: {arn(name)}:17"):
        lambda_.invoke(FunctionName=name, Qualifier="17")


@pytest.mark.parametrize("operation", ["update_function_configuration", "update_function_code"])
def test_versions_cannot_be_changed(lambda_, functions, operation):
    name = functions.make()
    functions.publish(name)
    more = {"ZipFile": zip_source(ECHO)} if operation.endswith("code") else {"Timeout": 5}
    with error("InvalidParameterValueException", status=400):
        getattr(lambda_, operation)(FunctionName=arn(name) + ":1", **more)
