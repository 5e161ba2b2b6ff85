"""Function URLs as a client meets them: make one, ask it over a raw connection."""

import json
import urllib.parse

import botocore.auth
import botocore.awsrequest
import botocore.credentials

from harness.rawhttp import Peer, request

# Answers with the event that it was given.
SHOW = """
import json
def handler(event, context):
    return {"statusCode": 200, "body": json.dumps(event)}
"""


def open_to_all(lambda_, name, qualifier=None, sid="url"):
    """The statement that a URL without authentication needs."""
    lambda_.add_permission(
        FunctionName=name,
        StatementId=sid,
        Action="lambda:InvokeFunctionUrl",
        Principal="*",
        FunctionUrlAuthType="NONE",
        **({"Qualifier": qualifier} if qualifier else {}),
    )


def make_url(lambda_, name, qualifier=None, auth="NONE", is_open=True, **settings):
    """The URL of a function or an alias, open to all if it is of AuthType NONE."""
    where = {"Qualifier": qualifier} if qualifier else {}
    made = lambda_.create_function_url_config(FunctionName=name, AuthType=auth, **where, **settings)
    if auth == "NONE" and is_open:
        open_to_all(lambda_, name, qualifier)
    return made["FunctionUrl"]


def host_of(url):
    return urllib.parse.urlsplit(url).netloc


def id_of(url):
    return host_of(url).partition(".")[0]


def ask(url, method="GET", path="/", headers=None, body=b"", peer=None):
    """One request to a URL; the name of its host is not resolved, its port is on loopback."""
    fields = {"Host": host_of(url), **(headers or {})}
    if peer:
        return peer.send(request(method, path, fields, body)).answer(method)
    with Peer(urllib.parse.urlsplit(url).port, timeout=30) as one:
        return one.send(request(method, path, fields, body)).answer(method)


def event_of(url, *args, **more):
    """The event that the function SHOW was given."""
    answer = ask(url, *args, **more)
    assert answer.status == 200, answer
    return json.loads(answer.body)


def signed(url, method="GET", path="/", body=b"", key="test", secret="test", service="lambda", region="us-east-1"):
    """The headers of a signed request."""
    ask_for = botocore.awsrequest.AWSRequest(method, url.rstrip("/") + path, data=body)
    botocore.auth.SigV4Auth(botocore.credentials.Credentials(key, secret), service, region).add_auth(ask_for)
    return dict(ask_for.headers.items())
