"""Function URLs with curl, which resolves names below localhost itself."""

import json
import subprocess

from fetching import need

from harness.urls import SHOW, make_url


def curl(*words):
    done = subprocess.run(
        [need("curl"), "--silent", "--show-error", "--noproxy", "*", *words], capture_output=True, text=True, timeout=40
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_function_url_as_it_was_given_out(lambda_, functions):
    url = make_url(lambda_, functions.make(SHOW))
    event = json.loads(curl(f"{url}a/b?c=1", "--cookie", "x=1; y=2", "--json", '{"n": 1}'))
    assert event["requestContext"]["http"]["method"] == "POST"
    assert (event["rawPath"], event["queryStringParameters"]) == ("/a/b", {"c": "1"})
    assert event["cookies"] == ["x=1", "y=2"] and json.loads(event["body"]) == {"n": 1}


def test_curl_signs_for_aws_iam(lambda_, functions):
    url = make_url(lambda_, functions.make(SHOW), auth="AWS_IAM")
    assert curl(url, "--output", "/dev/null", "--write-out", "%{http_code}") == "403"
    event = json.loads(curl(url, "--aws-sigv4", "aws:amz:us-east-1:lambda", "--user", "test:test"))
    assert event["requestContext"]["authorizer"]["iam"]["accessKey"] == "test"
