"""Function URLs with InvokeMode RESPONSE_STREAM, and functions that stream behind buffered ones."""

import json
import urllib.parse

import pytest

from harness.functions import NODE
from harness.rawhttp import Peer, request
from harness.streams import STEPS
from harness.urls import ask, host_of, make_url

MB = 1024 * 1024


@pytest.fixture(scope="module")
def streaming(functions):
    return functions.make(STEPS, runtime=NODE, Timeout=30, MemorySize=512)


@pytest.fixture(scope="module")
def url(lambda_, streaming):
    return make_url(lambda_, streaming, InvokeMode="RESPONSE_STREAM")


def told(url, event, **more):
    return ask(url, "POST", body=json.dumps(event).encode(), headers={"Content-Type": "application/json"}, **more)


class Raw(Peer):
    """One request whose response is taken piece by piece."""

    def __init__(self, url, event):
        super().__init__(urllib.parse.urlsplit(url).port, timeout=30)
        fields = {"Host": host_of(url), "Content-Type": "application/json"}
        self.send(request("POST", "/", fields, json.dumps(event).encode()))

    def head(self):
        return self._until(b"\r\n\r\n").decode("latin-1")

    def chunk(self):
        size = int(self._until(b"\r\n"), 16)
        return self._exactly(size + 2)[:-2]


def test_bytes_are_passed_on_as_they_are(url):
    answer = told(url, {"steps": [{"write": "abc"}, {"write": "de"}], "type": "text/x"})
    assert (answer.status, answer.body) == (200, b"abcde")
    assert answer.headers["content-type"] == "text/x"
    assert answer.headers["transfer-encoding"] == "chunked"
    assert answer.headers["x-amzn-trace-id"].startswith("Root=1-")
    assert told(url, {"steps": [{"write": "a"}]}).headers["content-type"] == "application/octet-stream"
    assert told(url, {"steps": []}).body == b""


def test_the_prelude_becomes_the_head(url):
    prelude = {"statusCode": 206, "headers": {"Content-Type": "text/y", "X-Own": "yes"}, "cookies": ["a=1", "b=2"]}
    with Raw(url, {"prelude": prelude, "steps": [{"write": "body"}]}) as raw:
        head = raw.head()
        assert head.startswith("HTTP/1.1 206 ")
        for line in ("Content-Type: text/y", "X-Own: yes", "Set-Cookie: a=1", "Set-Cookie: b=2"):
            assert f"\r\n{line}\r\n" in head + "\r\n"
        assert (raw.chunk(), raw.chunk()) == (b"body", b"")
    answer = told(url, {"prelude": {}, "steps": [{"write": "x"}]})
    assert (answer.status, answer.headers["content-type"], answer.body) == (200, "application/octet-stream", b"x")


def test_a_chunk_arrives_before_the_next_one_is_written(lambda_, functions, streaming, url):
    steps = [{"write": "first"}, {"wait": "url-second"}, {"write": "second"}]
    with Raw(url, {"prelude": {"statusCode": 200}, "steps": steps}) as raw:
        assert raw.head().startswith("HTTP/1.1 200 ")
        assert raw.chunk() == b"first"
        lambda_.tag_resource(Resource=functions.arn(streaming), Tags={"url-second": "1"})
        assert (raw.chunk(), raw.chunk()) == (b"second", b"")


def test_more_than_an_answer_may_have(url):
    answer = told(url, {"steps": [{"bytes": 20 * MB}]})
    assert len(answer.body) == 20 * MB


@pytest.mark.parametrize("prelude", ["text", {"statusCode": "none"}, {"headers": {"bad name": "x"}}, {"headers": {"a": "b\r\nc: d"}}])
def test_a_prelude_of_which_no_head_can_be_made(url, prelude):
    answer = told(url, {"prelude": prelude, "steps": [{"write": "body"}, {"bytes": MB}]})
    assert (answer.status, answer.body) == (502, b"Internal Server Error")


def test_errors(url):
    """Before the head they can be told; after it the response breaks off."""
    with Raw(url, {"steps": [{"write": "begun"}, {"fail": "on purpose"}]}) as raw:
        assert raw.head().startswith("HTTP/1.1 200 ")
        assert raw.chunk() == b"begun"
        with pytest.raises(EOFError):
            raw.chunk()
    with Raw(url, {"steps": [{"write": "begun"}, {"crash": True}]}) as raw:
        raw.head()
        assert raw.chunk() == b"begun"
        with pytest.raises(EOFError):
            raw.chunk()
    assert told(url, {"steps": [{"write": "goes on"}]}).body == b"goes on"


def test_a_function_that_does_not_stream(lambda_, functions):
    name = functions.make("def handler(event, context):\n    return {'statusCode': 201, 'body': 'x'}\n")
    answer = ask(make_url(lambda_, name, InvokeMode="RESPONSE_STREAM"))
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert json.loads(answer.body) == {"statusCode": 201, "body": "x"}
    name = functions.make("def handler(event, context):\n    raise ValueError('on purpose')\n")
    answer = ask(make_url(lambda_, name, InvokeMode="RESPONSE_STREAM"))
    assert (answer.status, answer.body) == (502, b"Internal Server Error")


def test_a_function_that_streams_behind_a_buffered_url(lambda_, functions):
    url = make_url(lambda_, functions.make(STEPS, runtime=NODE))
    answer = told(url, {"steps": [{"write": "ab"}, {"write": "c"}]})
    assert (answer.status, answer.headers["content-type"], answer.body) == (200, "application/octet-stream", b"abc")
    answer = told(url, {"prelude": {"statusCode": 418, "headers": {"a": "b"}}, "steps": [{"write": "tea"}]})
    assert (answer.status, answer.headers["a"], answer.body) == (418, "b", b"tea")
    assert told(url, {"steps": [{"write": "begun"}, {"fail": "on purpose"}]}).status == 502
