"""
Response streaming in the nodejs pack: what a streaming handler writes, and when it arrives. What the handler can see of its
stream is compared with AWS's clients in test_node_ric.py.
"""
import json

import pytest

CLASSIC, MODERN = "nodejs20.x", "nodejs24.x"
both = pytest.mark.parametrize("runtime", [CLASSIC, MODERN])

MODE = "lambda-runtime-function-response-mode"


def streaming(body, options=""):
    return "exports.handler = awslambda.streamifyResponse(async (event, stream, context) => {\n%s\n}%s);\n" % (body, options)


@both
def test_what_is_written_is_streamed(node, runtime):
    env = node(streaming("stream.write('a'); stream.write(Buffer.from([0, 255])); stream.write({ b: 1 }); stream.end('c');"),
               runtime=runtime)
    for _ in range(3):
        report = env.call({})
        assert (report.kind, report.body) == ("response", b'a\x00\xff{"b":1}c')
        assert report.fields[MODE] == "streaming"
        assert report.fields["transfer-encoding"] == "chunked"
        assert report.fields["content-type"] == "application/octet-stream"
        assert report.fields["trailer"] == "Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body"
        assert report.trailers == {}
    assert env.api.connections == 2  # one for events, one for streams


@both
def test_the_content_type_and_the_prelude(node, runtime):
    env = node(streaming(
        "stream = awslambda.HttpResponseStream.from(stream, { statusCode: 201, headers: { a: 'b' } });\n"
        "stream.write('x'); stream.write('y'); stream.end();"), runtime=runtime)
    report = env.call({})
    assert report.body == json.dumps({"statusCode": 201, "headers": {"a": "b"}}, separators=(",", ":")).encode() + bytes(8) + b"xy"
    assert report.fields["content-type"] == "application/vnd.awslambda.http-integration-response"


@both
def test_an_error_in_the_middle_is_in_the_trailers(node, runtime):
    env = node(streaming("stream.write('begun'); throw new RangeError('br\u00f6ken');"), runtime=runtime)
    report = env.call({})
    assert (report.kind, report.body) == ("response", b"begun")
    kind, error = report.trailer_error
    assert (kind, error["errorType"], error["errorMessage"]) == ("RangeError", "RangeError", "br\u00f6ken")
    assert error["trace"][0] == "RangeError: br\u00f6ken"
    assert "Invoke Error" in env.log
    assert env.call({}).body == b"begun"  # it goes on


@both
def test_an_error_before_anything_is_written(node, runtime):
    report = node(streaming("throw new Error('at once');"), runtime=runtime).call({})
    assert (report.kind, report.body, report.trailer_error[0]) == ("response", b"", "Error")


@both
def test_a_huge_error_is_cut(node, runtime):
    report = node(streaming("throw new Error('x'.repeat(1000000));"), runtime=runtime).call({})
    kind, error = report.trailer_error
    assert kind == "Error" and 1000 < len(error["errorMessage"]) < 10_000
    assert sum(map(len, report.trailers.values())) < 60_000


@both
def test_the_next_event_comes_after_the_stream(node, runtime):
    env = node(streaming("setTimeout(() => stream.end('late'), 50);"), runtime=runtime)
    env.api.invoke({})
    env.api.invoke({})
    assert [env.api.report().body for _ in range(2)] == [b"late", b"late"]


def test_a_pipeline(node):
    env = node("const { pipeline } = require('stream/promises');\nconst { Readable } = require('stream');\n" + streaming(
        "await pipeline(Readable.from(['a', 'b', 'c'.repeat(200000)]), stream);"))
    assert env.call({}).body == b"ab" + b"c" * 200_000


def test_a_module_streams_too(node):
    env = node({"index.mjs": streaming("stream.end(JSON.stringify(event));").replace("exports.handler =", "export const handler =")})
    assert env.call({"a": 1}).body == b'{"a":1}'


def test_what_is_no_response_stream_is_refused(node):
    env = node("exports.handler = async () => 1;\nexports.handler[Symbol.for('aws.lambda.runtime.handler.streaming')] = 'request';\n")
    report = env.api.report()
    assert (report.kind, report.error_type) == ("init", "Runtime.MalformedStreamingHandler")
    assert report.json["errorMessage"] == "Only response streaming is supported."


def test_a_high_water_mark(node):
    env = node(streaming("stream.write('x'); stream.end(String(stream.writableHighWaterMark > 0));", ", { highWaterMark: 65536 }"))
    assert env.call({}).body == b"xtrue"
