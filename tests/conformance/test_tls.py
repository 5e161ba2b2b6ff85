"""HTTPS beside HTTP on one port: with boto3, curl, the command line, by function URL, with large bodies, in pieces."""

import hashlib
import json
import os
import re
import ssl
import subprocess
import urllib.parse
import urllib.request

import pytest

from harness.daemon import binary
from harness.functions import NODE, PROVIDED
from harness.pki import Authority
from harness.rawhttp import Peer, request
from harness.sdk import SIGNED
from harness.streams import STEPS
from harness.urls import SHOW, ask, event_of, host_of, make_url, signed
from harness.zips import zip_of

MB = 1024 * 1024

# Asks for itself, over what the environment says and over TLS; the certificate has other names than the sandbox's.
CALLS_BACK = SIGNED + """
import json, ssl
anybody = ssl._create_unverified_context()
def handler(event, context):
    request = signed("lambda", "/2015-03-31/functions/" + context.function_name, b"", "GET")
    def names(url):
        request.full_url = url
        with urllib.request.urlopen(request, context=anybody) as answer:
            return [json.load(answer)["Configuration"]["FunctionName"]]
    plain = request.full_url
    return {"http": names(plain), "https": names("https" + plain.removeprefix("http"))}
"""


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="module")
def secure(daemon_of, authority):
    cert, key = authority.issue("localhost")
    one = daemon_of("--tls-cert", str(cert), "--tls-key", str(key), "--access-keys", "test:test")
    one.secure_endpoint = f"https://localhost:{one.port}"
    return one


@pytest.fixture(scope="module")
def aws_secure(secure, aws_of, authority):
    return aws_of(secure, endpoint=secure.secure_endpoint, verify=str(authority.path))


@pytest.fixture(scope="module")
def lambda_(aws_secure):
    return aws_secure.client("lambda")


@pytest.fixture(scope="module")
def functions(aws_secure):
    return aws_secure.functions()


@pytest.fixture
def peer(secure, authority):
    with Peer(secure.port, timeout=30, tls=authority.context()) as one:
        yield one


def fetch(url, authority=None):
    with urllib.request.urlopen(url, timeout=30, context=authority and authority.context()) as answer:
        return answer.read()


def curl(*words):
    return subprocess.run(["curl", "-sS", "--noproxy", "*", *map(str, words)], capture_output=True, text=True, timeout=40)


# ---- both on one port ----


def test_one_port_speaks_both_and_says_so(secure, authority, lambda_, aws_of):
    port = secure.port
    assert re.search(rf"^Ready\. http://127\.0\.0\.1:{port} https://127\.0\.0\.1:{port}$", secure.log(), re.M)
    assert lambda_.list_functions()["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert aws_of(secure).client("lambda").list_functions()["ResponseMetadata"]["HTTPStatusCode"] == 200
    health = fetch(f"{secure.secure_endpoint}/_localstack/health", authority)
    assert health == fetch(f"{secure.endpoint}/_localstack/health") and b"lambda" in health
    expiry = re.search(rb"^mayfly_tls_certificate_expiry_timestamp_seconds (\d+)$", fetch(f"{secure.endpoint}/metrics"), re.M)
    assert int(expiry[1]) > 1e9


def test_curl_agrees_on_a_version_and_http_1_1(secure, authority):
    for version in ("1.2", "1.3"):
        done = curl("--verbose", "--cacert", authority.path, "--tls-max", version, f"{secure.secure_endpoint}/")
        assert done.returncode == 0 and json.loads(done.stdout)["name"] == "mayfly", done.stderr
        assert f"TLSv{version}" in done.stderr and "http/1.1" in done.stderr
    assert curl(f"{secure.secure_endpoint}/").returncode == 60, "an authority that nobody knows"


def test_who_does_not_speak_is_not_waited_for_by_others(secure, authority):
    """Half a handshake, nonsense, and a client that only wants what we do not have."""
    half, nonsense = Peer(secure.port), Peer(secure.port)
    half.send(b"\x16\x03\x01\x02\x00\x01\x00")
    nonsense.send(b"\x16" + bytes(range(200)))
    assert nonsense.is_closed()
    other = authority.context()
    other.set_alpn_protocols(["h2"])
    with pytest.raises(ssl.SSLError, match="(?i)no.application.protocol"):
        Peer(secure.port, tls=other)
    assert b"available" in fetch(f"{secure.secure_endpoint}/_localstack/health", authority)
    half.socket.close()


def test_who_waits_for_100_gets_it(peer):
    peer.send(b"POST /2015-03-31/functions/none/invocations HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
    assert peer.answer().status == 100
    peer.send(b"{}")
    assert peer.answer().status == 404
    peer.send(request("GET", "/", {"Connection": "close"}))
    assert peer.answer().status == 200
    assert peer.is_closed()


# ---- bodies ----


def test_large_events_and_answers(functions):
    event = {"text": os.urandom(2_900_000).hex()}
    assert functions.call(functions.make(), event) == event


def test_code_goes_up_and_comes_down(lambda_, functions, authority, secure):
    """Up by way of a file, and down from one: neither may pass by the cipher."""
    code = zip_of({"bootstrap": b"#!/bin/sh\n", "data": os.urandom(20 * MB)})
    made = functions.create(runtime=PROVIDED, zipped=code)
    assert made["CodeSize"] == len(code)
    location = lambda_.get_function(FunctionName=made["FunctionName"])["Code"]["Location"]
    assert location.startswith(f"{secure.secure_endpoint}/")
    assert hashlib.sha256(fetch(location, authority)).digest() == hashlib.sha256(code).digest()


def test_a_client_that_reads_late_gets_all(secure, lambda_, functions, authority):
    name = functions.make(files={"index.py": "def handler(event, context):\n    return 'x' * event\n"}, Handler="index.handler")
    peers = []
    for _ in range(3):
        peers.append(Peer(secure.port, timeout=30, tls=authority.context()))
        peers[-1].send(request("POST", f"/2015-03-31/functions/{name}/invocations", {}, b"6000000"))
    for one in reversed(peers):
        assert len(one.answer("POST").body) == 6_000_002
        one.socket.close()


# ---- in pieces ----


def test_a_response_stream_comes_piece_by_piece(lambda_, functions):
    name = functions.make(STEPS, runtime=NODE, Timeout=30)
    steps = [{"write": "first"}, {"tagged": "seen"}, {"write": "second"}, {"bytes": 3 * MB}]
    stream = lambda_.invoke_with_response_stream(FunctionName=name, Payload=json.dumps({"steps": steps}))
    got, arn = b"", lambda_.get_function_configuration(FunctionName=name)["FunctionArn"]
    for event in stream["EventStream"]:
        got += event.get("PayloadChunk", {}).get("Payload", b"")
        if got == b"first":  # it waits for us
            lambda_.tag_resource(Resource=arn, Tags={"seen": "yes"})
    assert got == b"firstsecond" + b"x" * (3 * MB)


def test_a_url_streams_too(lambda_, functions, authority):
    url = make_url(lambda_, functions.make(STEPS, runtime=NODE, Timeout=30), InvokeMode="RESPONSE_STREAM")
    assert url.startswith("https://")
    body = json.dumps({"steps": [{"write": "abc"}, {"bytes": 2 * MB}, {"write": "de"}]}).encode()
    with Peer(urllib.parse.urlsplit(url).port, timeout=30, tls=authority.context()) as one:
        answer = ask(url, "POST", body=body, headers={"Content-Type": "application/json"}, peer=one)
    assert answer.headers["transfer-encoding"] == "chunked"
    assert answer.body == b"abc" + b"x" * (2 * MB) + b"de"


# ---- function URLs ----


def test_a_url_is_given_out_with_the_scheme_of_who_asks(secure, lambda_, functions, authority, aws_of, peer):
    name = functions.make(SHOW)
    url = make_url(lambda_, name)
    assert re.fullmatch(rf"https://[a-z0-9]{{32}}\.lambda-url\.us-east-1\.localhost:{secure.port}/", url)
    plain = aws_of(secure).client("lambda").get_function_url_config(FunctionName=name)["FunctionUrl"]
    assert plain == "http" + url.removeprefix("https")
    headers = event_of(url, peer=peer, headers={"X-Forwarded-Proto": "gopher"})["headers"]
    assert (headers["x-forwarded-proto"], headers["x-forwarded-port"]) == ("https", str(secure.port))
    headers = event_of(url, peer=peer, headers={"Host": host_of(url).partition(":")[0]})["headers"]
    assert headers["x-forwarded-port"] == "443"
    assert event_of(plain)["headers"]["x-forwarded-proto"] == "http"
    # The certificate has the names of URLs; curl looks up what is below localhost itself.
    shown = curl("--cacert", authority.path, f"{url}a/b?c=1")
    assert shown.returncode == 0 and json.loads(shown.stdout)["rawPath"] == "/a/b", shown.stderr


def test_signatures_are_checked_as_ever(lambda_, functions, peer):
    url = make_url(lambda_, functions.make(SHOW), auth="AWS_IAM")
    fields = signed(url, "POST", body=b"text")
    assert ask(url, "POST", headers=fields, body=b"text", peer=peer).status == 200
    assert ask(url, "POST", headers=fields, body=b"forged", peer=peer).status == 403


# ---- inside ----


def test_functions_reach_the_endpoint_both_ways(functions):
    name = functions.make(CALLS_BACK)
    assert functions.call(name) == {"http": [name], "https": [name]}


# ---- the command line ----


def test_the_command_line_over_tls(secure, functions, authority):
    def mayfly(*words, **env):
        kept = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
        env = {**kept, "AWS_ENDPOINT_URL": secure.secure_endpoint, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", **env}
        return subprocess.run([str(binary()), *words], env=env, capture_output=True, text=True, timeout=20)

    name = functions.make()
    done = mayfly("invoke", name, "--payload", '{"a": 1}', AWS_CA_BUNDLE=str(authority.path))
    assert (done.returncode, json.loads(done.stdout)) == (0, {"a": 1})
    status = json.loads(mayfly("status", "-o", "json", AWS_CA_BUNDLE=str(authority.path)).stdout)
    assert status["settings"]["tls-cert"].endswith("localhost.pem")
    refused = mayfly("status")
    assert refused.returncode == 1 and "AWS_CA_BUNDLE" in refused.stderr


# ---- what is wrong is said at once ----


@pytest.fixture(scope="module")
def spoilt(authority):
    """Paths by what is wrong with them."""
    folder = authority.folder
    cert, key = authority.issue("one")
    _, other = authority.issue("two")
    (folder / "empty").write_bytes(b"")
    (folder / "text").write_text("hello\n")
    (folder / "long").write_bytes(b"x" * 300_000)
    return {"cert": cert, "key": key, "other": other, **{name: folder / name for name in ("empty", "text", "long", "none")},
            "folder": folder}


@pytest.mark.parametrize(
    ("cert", "key", "words"),
    [
        ("cert", None, "tls-cert and tls-key belong together, and tls-key is not set"),
        (None, "key", "tls-cert and tls-key belong together, and tls-cert is not set"),
        ("none", "key", "tls-cert: cannot read .*/none: No such file"),
        ("cert", "none", "tls-key: cannot read .*/none: No such file"),
        ("cert", "folder", "tls-key: cannot read .*: it is no regular file"),
        ("long", "key", "tls-cert: cannot read .*/long: File too large. It must be a file in PEM form, of no more than 256 KB"),
        ("text", "key", "tls-cert: .*/text has no certificate in PEM form"),
        ("cert", "text", "tls-key: .*/text has no private key in PEM form"),
        ("cert", "cert", "tls-key: .*/one.pem has no private key in PEM form"),
        ("cert", "other", "tls-key: .*/two.key has another key than the certificate of .*/one.pem. Name the two"),
        ("empty", "empty", "the files of tls-cert and tls-key are empty"),
    ],
)
@pytest.mark.parametrize("check", [True, False], ids=["check", "serve"])
def test_files_that_are_wrong(spoilt, daemon_binary, tmp_path, cert, key, words, check):
    flags = [word for flag, name in (("--tls-cert", cert), ("--tls-key", key)) if name for word in (flag, str(spoilt[name]))]
    done = subprocess.run(
        [daemon_binary, "serve", "--data", tmp_path / "data", *flags, *(["--check"] if check else [])],
        capture_output=True, text=True, timeout=20,
    )
    assert done.returncode == 2 and done.stdout == ""
    assert re.match(f"mayfly serve: {words}", done.stderr), done.stderr
    assert not (tmp_path / "data").exists(), "nothing was begun"
