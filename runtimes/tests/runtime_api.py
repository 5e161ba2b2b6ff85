"""
A Lambda Runtime API for tests: strict about what it reads, and it remembers everything.

It serves one environment, as the platform does: events are queued with `invoke`, and what
the environment reports comes out of `reports`. The answer to a report is held back while
the next request has already arrived behind it (a pipelining client) and goes out together
with the next event; for a client that waits for the answer it is sent at once.
"""
import base64
import json
import queue
import random
import socket
import threading
import time
from dataclasses import dataclass, field

PORTS = range(10000, 32000)  # below those of clients
ARN = "arn:aws:lambda:us-east-1:000000000000:function:hello"


@dataclass
class Request:
    method: str
    target: str
    fields: dict  # names in lower case
    body: bytes
    is_pipelined: bool  # the next request came in the same segment
    trailers: dict = field(default_factory=dict)  # of a chunked body, names in lower case


@dataclass
class Report:
    """What an environment said about an invocation, or about its init."""

    kind: str  # response, error, init
    request_id: str
    fields: dict
    body: bytes
    is_pipelined: bool
    trailers: dict = field(default_factory=dict)

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def error_type(self):
        return self.fields.get("lambda-runtime-function-error-type")

    @property
    def trailer_error(self):
        """(type, object) of an error in the middle of a streamed response."""
        body = base64.b64decode(self.trailers["lambda-runtime-function-error-body"])
        return self.trailers["lambda-runtime-function-error-type"], json.loads(body)

    @property
    def cause(self):
        return json.loads(self.fields["lambda-runtime-function-xray-error-cause"])


@dataclass
class Event:
    body: bytes
    fields: dict
    is_chunked: bool = False


@dataclass
class Refusal:
    """How to answer the next report instead of 202."""

    status: int
    is_closing: bool = False
    body: bytes = b'{"errorMessage":"Exceeded maximum allowed payload size (6291556 bytes).","errorType":"RequestEntityTooLarge"}'


@dataclass
class RuntimeApi:
    piece_bytes: int = 0  # > 0: answers leave in pieces of this size
    events: queue.Queue = field(default_factory=queue.Queue)
    reports: queue.Queue = field(default_factory=queue.Queue)
    refusals: list = field(default_factory=list)
    stems: queue.Queue = field(default_factory=queue.Queue)  # environments for runtimes that wait for one
    is_stem: threading.Event = field(default_factory=threading.Event)  # one waits
    is_idle: threading.Event = field(default_factory=threading.Event)  # an event was asked for
    connections: int = 0
    count: int = 0
    errors: list = field(default_factory=list)

    def __enter__(self):
        # Any of many: a runtime whose platform is gone must not find that of another test at the same port.
        self.listener = socket.socket()
        for port in random.sample(PORTS, 100):
            try:
                self.listener.bind(("127.0.0.1", port))
                self.listener.listen()
                break
            except OSError:
                continue
        else:
            raise RuntimeError("no free port")
        self.address = "127.0.0.1:%d" % port
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def close(self):
        """Be gone: a client that waits sees its connection closed."""
        if self.listener.fileno() >= 0:
            self.listener.shutdown(socket.SHUT_RDWR)
            self.listener.close()  # first: who is hung up on comes again at once
            self.events.put(None)
            self.stems.put(None)

    def __exit__(self, *_):
        self.close()
        assert not self.errors, self.errors

    def invoke(self, event=None, *, body=None, request_id=None, remaining_ms=30_000, fields=None,
               is_chunked=False):
        """Queue an event; its request id."""
        self.count += 1
        request_id = request_id or "00000000-0000-4000-8000-%012d" % self.count
        known = {
            "Content-Type": "application/json",
            "Lambda-Runtime-Aws-Request-Id": request_id,
            "Lambda-Runtime-Deadline-Ms": str(int(time.time() * 1000) + remaining_ms),
            "Lambda-Runtime-Invoked-Function-Arn": ARN,
            "Lambda-Runtime-Trace-Id": "Root=1-00000000-%024d;Parent=0000000000000001;Sampled=0" % self.count,
        }
        known.update(fields or {})
        body = json.dumps(event).encode() if body is None else body
        self.events.put(Event(body, {k: v for k, v in known.items() if v is not None}, is_chunked))
        return request_id

    def report(self, timeout=15):
        return self.reports.get(timeout=timeout)

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with connection:
            try:
                self.serve_requests(Reader(connection), connection)
            except (ConnectionError, TimeoutError):
                pass
            except Exception as e:
                self.errors.append(repr(e))

    def serve_requests(self, reader, connection):
        held = b""
        while True:
            request = reader.request()
            if request is None:
                return
            if request.method == "GET" and request.target == "/2018-06-01/runtime/mayfly/stem":
                self.is_stem.set()
                environment = self.stems.get()
                if environment is None:
                    return
                block = b"".join(b"%s=%s\0" % (k.encode(), v.encode()) for k, v in environment.items())
                self.specialised = time.monotonic()
                self.send(connection, head("200 OK", {"Content-Length": str(len(block))}) + block)
                continue
            if request.method == "GET" and request.target == "/2018-06-01/runtime/invocation/next":
                if not self.is_idle.is_set():
                    self.idle = time.monotonic()
                    self.is_idle.set()
                event = self.events.get()
                if event is None:
                    return
                self.send(connection, held + answer_event(event))
                held = b""
                continue
            assert request.method == "POST", request
            self.reports.put(report_of(request))
            refusal = self.refusals.pop(0) if self.refusals else None
            held += answer_report(refusal)
            if not request.is_pipelined or (refusal and refusal.is_closing):
                self.send(connection, held)
                held = b""
            if refusal and refusal.is_closing:
                return

    def send(self, connection, data):
        size = self.piece_bytes or len(data)
        for start in range(0, len(data), size):
            connection.sendall(data[start:start + size])
            if self.piece_bytes:
                time.sleep(0.0005)


class Reader:
    """Requests from a connection; refuses what a strict server would."""

    def __init__(self, connection):
        self.connection = connection
        self.data = b""

    def more(self):
        data = self.connection.recv(65536)
        self.data += data
        return bool(data)

    def request(self):
        while b"\r\n\r\n" not in self.data:
            if not self.more():
                assert not self.data, "half a request: %r" % self.data
                return None
        head, _, self.data = self.data.partition(b"\r\n\r\n")
        first, *lines = head.decode("utf-8").split("\r\n")  # AWS's Python client sends more than ASCII
        method, target, version = first.split(" ")
        assert version == "HTTP/1.1"
        fields = {}
        for line in lines:
            name, colon, value = line.partition(":")
            assert colon and name and name == name.strip(), line
            assert name.lower() not in fields or name == "Trailer", "twice: " + name
            before = fields[name.lower()] + ", " if name.lower() in fields else ""
            fields[name.lower()] = before + value.strip()
        assert "host" in fields
        is_chunked = fields.get("transfer-encoding") == "chunked"
        body = self.chunks() if is_chunked else self.body(fields)
        trailers = self.trailers() if is_chunked else {}
        return Request(method, target, fields, body, bool(self.data), trailers)

    def body(self, fields):
        size = int(fields.get("content-length", "0"))
        while len(self.data) < size:
            assert self.more(), "half a body"
        body, self.data = self.data[:size], self.data[size:]
        return body

    def chunks(self):
        content = b""
        while size := int(self.line(), 16):
            while len(self.data) < size:
                assert self.more(), "half a chunk"
            content, self.data = content + self.data[:size], self.data[size:]
            self.line()
        return content

    def trailers(self):
        trailers = {}
        while line := self.line().decode("ascii"):
            name, colon, value = line.partition(":")
            assert colon and name and name == name.strip(), line
            trailers[name.lower()] = value.strip()
        return trailers

    def line(self):
        while b"\r\n" not in self.data:
            assert self.more(), "half a line"
        line, _, self.data = self.data.partition(b"\r\n")
        return line


def report_of(request):
    parts = request.target.split("/")
    assert parts[:3] == ["", "2018-06-01", "runtime"], request.target
    if parts[3:] == ["init", "error"]:
        return Report("init", "", request.fields, request.body, request.is_pipelined)
    assert parts[3] == "invocation" and parts[5] in ("response", "error"), request.target
    return Report(parts[5], parts[4], request.fields, request.body, request.is_pipelined, request.trailers)


def answer_report(refusal):
    if refusal is None:
        return head("202 Accepted", {"Content-Length": "16"}) + b'{"status":"OK"}\n'
    fields = {"Content-Length": str(len(refusal.body))}
    if refusal.is_closing:
        fields["Connection"] = "close"
    return head("%d Refused" % refusal.status, fields) + refusal.body


def answer_event(event):
    if not event.is_chunked:
        return head("200 OK", {**event.fields, "Content-Length": str(len(event.body))}) + event.body
    content, size = b"", max(1, len(event.body) // 3)
    for start in range(0, len(event.body), size):
        piece = event.body[start:start + size]
        content += b"%x;note=1\r\n%s\r\n" % (len(piece), piece)
    content += b"0\r\nA-Trailer: x\r\n\r\n"
    return head("200 OK", {**event.fields, "Transfer-Encoding": "chunked"}) + content


def head(status, fields):
    lines = ["HTTP/1.1 " + status] + ["%s: %s" % item for item in fields.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"
