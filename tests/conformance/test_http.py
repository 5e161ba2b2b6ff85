"""HTTP/1.1 as the public endpoint speaks it: strict where attackers look for seams, patient where clients are slow."""

import base64
import json
import os
import time
import zipfile

import pytest

from harness.functions import ECHO, PYTHON, ROLE, unique, zip_files
from harness.rawhttp import Peer, request, scope

MB = 1024 * 1024
LIST = ("GET", "/2015-03-31/functions")


@pytest.fixture
def peer(daemon):
    with Peer(daemon.port) as one:
        yield one


@pytest.fixture(scope="module")
def invoke_path(functions):
    name = functions.make("def handler(event, context):\n    return event\n", Timeout=30)
    functions.call(name, {})
    return f"/2015-03-31/functions/{name}/invocations"


def chunked(body, size=7):
    parts = [body[i : i + size] for i in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def test_a_connection_serves_many_requests(peer):
    for _ in range(5):
        assert peer.send(request(*LIST, scope("lambda"))).answer().status == 200


def test_pipelined_requests_are_answered_in_order(peer, invoke_path):
    for i in range(8):
        peer.send(request("POST", invoke_path, scope("lambda"), json.dumps(i).encode()))
    assert [json.loads(peer.answer().body) for _ in range(8)] == list(range(8))


def test_pipelined_requests_of_different_speed_keep_their_order(peer, functions, invoke_path):
    slow = functions.make("import time\ndef handler(e, c):\n    time.sleep(1)\n    return 'slow'\n", Timeout=10)
    peer.send(
        request("POST", f"/2015-03-31/functions/{slow}/invocations", scope("lambda"), b"{}")
        + request("POST", invoke_path, scope("lambda"), b'"fast"')
        + request(*LIST, scope("lambda"))
    )
    assert json.loads(peer.answer().body) == "slow"
    assert json.loads(peer.answer().body) == "fast"
    assert b"Functions" in peer.answer().body


def test_a_request_that_arrives_byte_by_byte(peer, invoke_path):
    for byte in request("POST", invoke_path, scope("lambda"), b'{"slow": true}'):
        peer.send(bytes([byte]))
        time.sleep(0.0005)
    assert json.loads(peer.answer().body) == {"slow": True}


def test_a_chunked_request(peer, invoke_path):
    headers = {**scope("lambda"), "Transfer-Encoding": "chunked"}
    body = json.dumps({"text": "x" * 1000}).encode()
    peer.send(request("POST", invoke_path, headers, length=False) + chunked(body))
    assert json.loads(peer.answer().body) == json.loads(body)
    with_extension = b'5;name="value"\r\n"abc"\r\n0\r\nTrailer: x\r\n\r\n'
    peer.send(request("POST", invoke_path, headers, length=False) + with_extension)
    assert json.loads(peer.answer().body) == "abc"


def test_expect_100_continue(peer, invoke_path):
    body = b'"waited"'
    peer.send(request("POST", invoke_path, {**scope("lambda"), "Expect": "100-continue", "Content-Length": len(body)}))
    assert peer.answer().status == 100
    peer.send(body)
    assert json.loads(peer.answer().body) == "waited"


def test_expect_of_something_else_is_refused(peer):
    assert peer.send(request(*LIST, {**scope("lambda"), "Expect": "miracles"})).answer().status == 417


def test_connection_close_is_obeyed(peer):
    answer = peer.send(request(*LIST, {**scope("lambda"), "Connection": "close"})).answer()
    assert (answer.status, answer.headers["connection"]) == (200, "close")
    assert peer.is_closed()


def test_http_1_0_is_answered_and_closed(peer):
    answer = peer.send(request(*LIST, scope("lambda"), version="HTTP/1.0")).answer()
    assert answer.status in (200, 505)
    assert peer.is_closed()


def test_head_has_no_body(peer):
    answer = peer.send(request("HEAD", "/")).answer("HEAD")
    assert answer.status < 500
    assert peer.send(request("GET", "/")).answer().status == 200


HOST = "Host: 127.0.0.1\r\n"
BAD_HEADS = {
    "length-and-chunked": f"POST / HTTP/1.1\r\n{HOST}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two-lengths": f"POST / HTTP/1.1\r\n{HOST}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    "list-of-lengths": f"POST / HTTP/1.1\r\n{HOST}Content-Length: 5, 6\r\n\r\nhello",
    "negative-length": f"POST / HTTP/1.1\r\n{HOST}Content-Length: -1\r\n\r\n",
    "plus-length": f"POST / HTTP/1.1\r\n{HOST}Content-Length: +5\r\n\r\nhello",
    "hex-length": f"POST / HTTP/1.1\r\n{HOST}Content-Length: 0x5\r\n\r\nhello",
    "empty-length": f"POST / HTTP/1.1\r\n{HOST}Content-Length: \r\n\r\n",
    "huge-length": f"POST / HTTP/1.1\r\n{HOST}Content-Length: 99999999999999999999999\r\n\r\n",
    "chunked-not-last": f"POST / HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "unknown-coding": f"POST / HTTP/1.1\r\n{HOST}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "two-codings": f"POST / HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "space-before-colon": f"GET / HTTP/1.1\r\n{HOST}Content-Length : 0\r\n\r\n",
    "folded-header": f"GET / HTTP/1.1\r\n{HOST}X-A: b\r\n c\r\n\r\n",
    "no-colon": f"GET / HTTP/1.1\r\n{HOST}nonsense\r\n\r\n",
    "empty-name": f"GET / HTTP/1.1\r\n{HOST}: value\r\n\r\n",
    "nul-in-value": f"GET / HTTP/1.1\r\n{HOST}X-A: b\0c\r\n\r\n",
    "carriage-return-alone": f"GET / HTTP/1.1\r\n{HOST}X-A: b\rX-B: c\r\n\r\n",
    "nul-in-target": f"GET /\0 HTTP/1.1\r\n{HOST}\r\n",
    "space-in-target": f"GET /a b HTTP/1.1\r\n{HOST}\r\n",
    "no-version": f"GET /\r\n{HOST}\r\n",
    "wrong-version": f"GET / HTTP/3.0\r\n{HOST}\r\n",
    "lower-case-version": f"GET / http/1.1\r\n{HOST}\r\n",
    "no-host": "GET / HTTP/1.1\r\n\r\n",
    "two-hosts": f"GET / HTTP/1.1\r\n{HOST}{HOST}\r\n",
    "no-method": f" / HTTP/1.1\r\n{HOST}\r\n",
    "odd-method": f"G@T / HTTP/1.1\r\n{HOST}\r\n",
    "tls-hello": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "http-2-preface": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
}


@pytest.mark.parametrize("head", BAD_HEADS.values(), ids=BAD_HEADS.keys())
def test_requests_of_doubtful_shape_are_refused_and_the_connection_closed(peer, head):
    smuggled = request("GET", "/_localstack/health")
    peer.send(head.encode("latin-1") + smuggled)
    answer = peer.answer()
    assert answer.status in (400, 413, 501, 505), answer
    assert b"services" not in answer.body
    assert peer.is_closed() and b"HTTP/1.1" not in peer.buffer, "what followed was answered too"


BAD_CHUNKS = {
    "no-number": b"zz\r\nhello\r\n0\r\n\r\n",
    "negative": b"-5\r\nhello\r\n0\r\n\r\n",
    "prefixed": b"0x5\r\nhello\r\n0\r\n\r\n",
    "too-short": b"4\r\nhello\r\n0\r\n\r\n",
    "huge": b"ffffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    "no-line-end": b"5\nhello\n0\n\n",
    "spaces": b" 5\r\nhello\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("body", BAD_CHUNKS.values(), ids=BAD_CHUNKS.keys())
def test_broken_chunks_are_refused_and_the_connection_closed(peer, invoke_path, body):
    headers = {**scope("lambda"), "Transfer-Encoding": "chunked"}
    peer.send(request("POST", invoke_path, headers, length=False) + body + request("GET", "/_localstack/health"))
    answer = peer.answer()
    assert answer.status in (400, 413), answer
    assert peer.is_closed()


def test_heads_have_a_size(daemon):
    for head in ({"X-Large": "a" * (1 * MB)}, {f"X-{i}": "a" * 100 for i in range(5000)}):
        with Peer(daemon.port) as peer:
            try:
                peer.send(request("GET", "/", head))
            except (BrokenPipeError, ConnectionResetError):
                continue
            try:
                assert peer.answer().status in (400, 431)
            except EOFError:
                pass
            assert peer.is_closed()
    with Peer(daemon.port) as peer:
        try:
            peer.send(request("GET", "/" + "a" * MB))
            assert peer.answer().status in (400, 414, 431)
        except (EOFError, BrokenPipeError, ConnectionResetError):
            pass


def test_a_body_above_the_limit_is_refused_before_it_is_sent(peer, invoke_path):
    peer.send(request("POST", invoke_path, {**scope("lambda"), "Content-Length": 1_000 * MB}))
    assert peer.answer().status == 413


def test_a_body_above_the_limit_gets_no_100_continue(peer, invoke_path):
    peer.send(request("POST", invoke_path, {**scope("lambda"), "Content-Length": 1_000 * MB, "Expect": "100-continue"}))
    assert peer.answer().status == 413


@pytest.mark.seconds(30)
def test_slow_clients_do_not_hold_others_back(daemon, invoke_path):
    peers = [Peer(daemon.port) for _ in range(50)]
    try:
        for i, peer in enumerate(peers):
            whole = request("POST", invoke_path, scope("lambda"), b"[1]")
            peer.send(whole[: 20 + i])
        with Peer(daemon.port) as quick:
            started = time.monotonic()
            assert quick.send(request("POST", invoke_path, scope("lambda"), b"1")).answer().status == 200
            assert time.monotonic() - started < 5
        for i, peer in enumerate(peers):
            peer.send(request("POST", invoke_path, scope("lambda"), b"[1]")[20 + i :])
        assert [json.loads(peer.answer().body) for peer in peers] == [[1]] * 50
    finally:
        for peer in peers:
            peer.__exit__()


def test_clients_that_go_away_leave_the_daemon_well(daemon, functions, invoke_path):
    slow = functions.make("import time\ndef handler(e, c):\n    time.sleep(0.5)\n    return 'x' * 10000\n", Timeout=10)
    path = f"/2015-03-31/functions/{slow}/invocations"
    for cut in (5, 60, None):
        for _ in range(5):
            with Peer(daemon.port) as peer:
                peer.send(request("POST", path, scope("lambda"), b"{}")[:cut])
    assert functions.call(slow, {}) == "x" * 10000


def test_a_large_upload_in_small_pieces(daemon, functions):
    """A body that goes to disk, sent slowly and chunked."""
    name = unique("slow")
    zipped = zip_files({"lambda_function.py": ECHO, "ballast": os.urandom(4 * MB)}, level=zipfile.ZIP_STORED)
    body = json.dumps(
        {
            "FunctionName": name,
            "Runtime": PYTHON,
            "Handler": "lambda_function.handler",
            "Role": ROLE,
            "Code": {"ZipFile": base64.b64encode(zipped).decode()},
        }
    ).encode()
    headers = {**scope("lambda"), "Transfer-Encoding": "chunked"}
    with Peer(daemon.port, timeout=30) as peer:
        peer.send(request("POST", "/2015-03-31/functions", headers, length=False))
        for start in range(0, len(body), 300_000):
            part = body[start : start + 300_000]
            peer.send(b"%x\r\n" % len(part)).send(part).send(b"\r\n")
            time.sleep(0.02)
        answer = peer.send(b"0\r\n\r\n").answer()
    assert answer.status == 201, answer
    functions.wait(name)
    assert functions.call(name, {"ok": 1}) == {"ok": 1}


def test_percent_encoding_in_paths(peer, functions, invoke_path):
    name = invoke_path.split("/")[3]
    encoded = functions.arn(name).replace(":", "%3A")
    assert peer.send(request("GET", f"/2015-03-31/functions/{encoded}", scope("lambda"))).answer().status == 200
    assert peer.send(request("GET", f"/2015-03-31/functions/{name}%00", scope("lambda"))).answer().status in (400, 404)
    assert peer.send(request("GET", f"/2015-03-31/functions/{name}%zz", scope("lambda"))).answer().status in (400, 404)
    assert peer.send(request("GET", f"/2015-03-31/functions/{name}/", scope("lambda"))).answer().status in (200, 403, 404)


def test_dots_in_paths_lead_nowhere(peer):
    for path in ("/../../etc/passwd", "/2015-03-31/functions/../../_localstack/health", "/%2e%2e/%2e%2e/etc/passwd"):
        answer = peer.send(request("GET", path, scope("lambda"))).answer()
        assert answer.status >= 400 and b"root:" not in answer.body


def test_answers_carry_a_request_id_and_no_advertisement(peer):
    answer = peer.send(request(*LIST, scope("lambda"))).answer()
    assert answer.headers["content-type"].startswith("application/json")
    assert "x-amzn-requestid" in answer.headers
    assert "x-powered-by" not in answer.headers
