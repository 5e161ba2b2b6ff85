"""A stand-in for SQS, SNS, EventBridge and S3: checks signatures, keeps what it is sent, can be made to refuse or to wait."""

import http.server
import json
import ssl
import threading
import urllib.parse

import botocore.auth
import botocore.awsrequest
import botocore.credentials

from harness.daemon import free_port

KEY, SECRET = "AKID", "secret"


def signature_problem(scheme, method, path, headers, body):
    """What botocore's own signer finds wrong with a request; None when it would have signed it so."""
    kind, _, rest = headers.get("Authorization", "").partition(" ")
    parts = dict(part.strip().split("=", 1) for part in rest.split(",")) if rest else {}
    if kind != "AWS4-HMAC-SHA256" or set(parts) != {"Credential", "SignedHeaders", "Signature"}:
        return f"not signed: {headers.get('Authorization')}"
    key, _, region, service, _ = parts["Credential"].split("/")
    names = parts["SignedHeaders"].split(";")
    if key != KEY or "host" not in names or "x-amz-date" not in names:
        return f"signed with too little: {parts}"
    signer = botocore.auth.S3SigV4Auth if service == "s3" else botocore.auth.SigV4Auth
    auth = signer(botocore.credentials.Credentials(KEY, SECRET), service, region)
    asked = botocore.awsrequest.AWSRequest(
        method, f"{scheme}://{headers['Host']}{path}", data=body, headers={name: headers[name] for name in names}
    )
    asked.context["timestamp"] = headers["X-Amz-Date"]
    wanted = auth.signature(auth.string_to_sign(asked, auth.canonical_request(asked)), asked)
    return None if parts["Signature"] == wanted else f"another signature than botocore's: {parts}"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def _take(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        targets = self.server.targets
        status = targets.refusals.pop(0) if targets.refusals else 200
        problem = signature_problem(targets.scheme, self.command, self.path, self.headers, body)
        if problem:
            targets.problems.append(problem)
            status = 403
        targets.hold(body)
        if status == 200:
            targets.taken.append((self.command, self.path, dict(self.headers), body))
        answer = b'{"FailedEntryCount":0}' if status == 200 else b'{"message":"not now"}'
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_POST = do_PUT = _take


class Targets:
    """`certificate` = (chain, key) and a host name: it is spoken to over TLS."""

    def __init__(self, host="127.0.0.1", certificate=None):
        self.port, self.certificate = free_port(), certificate
        self.scheme = "https" if certificate else "http"
        self.endpoint = f"{self.scheme}://{host}:{self.port}"
        self.taken, self.refusals, self.problems = [], [], []
        self.slow, self.released = None, threading.Event()
        self.waiting = self.most_waiting = 0
        self.lock = threading.Lock()
        self.server = None

    def start(self):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.server.targets = self
        if self.certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*self.certificate)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def stop(self):
        self.released.set()
        if self.server:
            self.server.shutdown()
            self.server.server_close()
            self.server = None

    def hold(self, body):
        """What goes to the slow one waits until it is released."""
        if not self.slow or self.slow not in body:
            return
        with self.lock:
            self.waiting += 1
            self.most_waiting = max(self.waiting, self.most_waiting)
        self.released.wait(15)
        with self.lock:
            self.waiting -= 1

    def requests(self, needle):
        """(method, path, headers, body) of what has this in its path or body."""
        return [one for one in list(self.taken) if needle in one[1].encode() or needle in one[3]]

    def messages(self):
        """The bodies of what was sent to queues, parsed."""
        found = []
        for _, _, headers, body in list(self.taken):
            if headers.get("X-Amz-Target") == "AmazonSQS.SendMessage":
                found.append(json.loads(body))
        return found

    def forms(self):
        return [dict(urllib.parse.parse_qsl(body.decode())) for _, _, headers, body in list(self.taken) if "urlencoded" in headers.get("Content-Type", "")]
