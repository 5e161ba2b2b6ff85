"""Assertions about errors as a client sees them, and the long texts that several tests share."""

import contextlib

import botocore.exceptions

ACCOUNT = "000000000000"
REGION = "us-east-1"

# The pattern in the message differs between operations that make a name and those that look one up.
NAME_PATTERN_CREATE = (
    r"(arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?"
    r"(\d{12}:)?(function:)?([a-zA-Z0-9-_]+)(:(\$LATEST|[a-zA-Z0-9-_]+))?"
)
NAME_PATTERN = (
    r"(arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?"
    r"(\d{12}:)?(function:)?([a-zA-Z0-9-_\.]+)(:(\$LATEST(\.PUBLISHED)?|[a-zA-Z0-9-_]+))?"
)
QUALIFIER_PATTERN = r"\$(LATEST(\.PUBLISHED)?)|[a-zA-Z0-9-_$]+"
ROLE_PATTERN = r"arn:(aws[a-zA-Z-]*)?:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+"

REVISION_MISMATCH = (
    "The Revision Id provided does not match the latest Revision Id. "
    "Call the GetFunction/GetAlias API to retrieve the latest Revision Id"
)
POLICY_REVISION_MISMATCH = (
    "The Revision Id provided does not match the latest Revision Id. "
    "Call the GetPolicy API to retrieve the latest Revision Id"
)
QUALIFIER_MISMATCH = "The derived qualifier from the function name does not match the specified qualifier."


def arn(name, region=REGION, account=ACCOUNT):
    return f"arn:aws:lambda:{region}:{account}:function:{name}"


def unmatched(value, member, pattern):
    """How a failed pattern reads, without the count in front."""
    return (
        f"Value '{value}' at '{member}' failed to satisfy constraint: "
        f"Member must satisfy regular expression pattern: {pattern}"
    )


def too_long(value, member, limit):
    return (
        f"Value '{value}' at '{member}' failed to satisfy constraint: "
        f"Member must have length less than or equal to {limit}"
    )



class Caught:
    code = message = status = response = None


@contextlib.contextmanager
def error(code, message=None, status=None):
    """The block must end in this error; the error can be looked at afterwards."""
    caught = Caught()
    try:
        yield caught
    except botocore.exceptions.ClientError as exception:
        caught.response = exception.response
        caught.code = exception.response["Error"]["Code"]
        caught.message = exception.response["Error"].get("Message")
        caught.status = exception.response["ResponseMetadata"]["HTTPStatusCode"]
    else:
        raise AssertionError(f"answered without an error; expected {code}: {message}")

    assert (caught.code, caught.message) == (code, message if message is not None else caught.message)
    if status is not None:
        assert caught.status == status, caught.response


def not_found(message):
    return error("ResourceNotFoundException", message, 404)


def invalid(message=None):
    return error("InvalidParameterValueException", message, 400)


@contextlib.contextmanager
def validation(*parts):
    """A ValidationException of these violations; AWS puts several into no particular order."""
    with error("ValidationException", status=400) as caught:
        yield caught
    words = "1 validation error" if len(parts) == 1 else f"{len(parts)} validation errors"
    start, _, rest = caught.message.partition(" detected: ")
    assert start == words, caught.message
    assert sorted(rest.split("; ")) == sorted(parts)


def conflict(message=None):
    return error("ResourceConflictException", message, 409)


def precondition(message=REVISION_MISMATCH):
    return error("PreconditionFailedException", message, 412)
