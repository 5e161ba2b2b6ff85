"""A man in the middle for clients that are not ours (the AWS CLI, other SDKs, Terraform): it passes requests on to
the daemon as they are and hands every answer to the walk, so that those are held against the models too."""

import http.client
import http.server
import re
import threading
import urllib.parse

import botocore.session

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "te", "upgrade", "expect"}
SERVICES = ("lambda", "logs", "iam", "sts", "cloudwatch")


def speaks_query(model):
    return "query" in model.metadata.get("protocols", [model.metadata["protocol"]])


class Operations:
    """Which operation of which service a request calls."""

    def __init__(self):
        session = botocore.session.Session()
        self.models = {name: session.get_service_model(name) for name in SERVICES}
        model = self.models["lambda"]
        self.routes = []
        for name in model.operation_names:
            operation = model.operation_model(name)
            path = operation.http["requestUri"].split("?")[0]
            pattern = re.sub(r"\\\{\w+\\\+?\\\}", "[^/]+", re.escape(path).rstrip("/"))
            pattern = re.sub(r"\\\{[^}]*\}", "[^/]+", pattern)
            self.routes.append((operation.http["method"], re.compile(pattern + "/?\\Z"), operation))

    def find(self, method, path, headers, body):
        target = headers.get("X-Amz-Target", "")
        if target:
            prefix, _, name = target.partition(".")
            for model in self.models.values():
                if model.metadata.get("targetPrefix") == prefix:
                    return model.operation_model(name)
        if "urlencoded" in headers.get("Content-Type", ""):
            form = urllib.parse.parse_qs(body.decode())
            for model in self.models.values():
                if model.metadata["apiVersion"] == form.get("Version", [""])[0] and speaks_query(model):
                    return model.operation_model(form["Action"][0])
        plain = path.partition("?")[0]
        for verb, pattern, operation in self.routes:
            if verb == method and pattern.match(plain):
                return operation
        return None


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60

    def log_message(self, *_):
        pass

    def _body(self):
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            body = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass
            return body
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _pass_on(self):
        recorder = self.server.recorder
        body = self._body()
        upstream = http.client.HTTPConnection("127.0.0.1", recorder.port, timeout=70)
        upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in HOP_BY_HOP:
                upstream.putheader(name, value)
        if body or self.command in ("POST", "PUT"):
            upstream.putheader("Content-Length", str(len(body)))
        upstream.endheaders(body)
        answer = upstream.getresponse()
        content = answer.read()
        recorder.see(self.command, self.path, self.headers, body, answer, content)
        upstream.close()

        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in HOP_BY_HOP:
                self.send_header(name, value)
        if answer.status not in (204, 304):
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = _pass_on


class Recorder:
    """Listens on a port of its own until stop()."""

    def __init__(self, port, listen_port, watch):
        self.port = port
        self.watch = watch
        self.operations = Operations()
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", listen_port), Handler)
        self.server.daemon_threads = True
        self.server.recorder = self
        self.endpoint = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def see(self, method, path, headers, body, answer, content):
        operation = self.operations.find(method, path, headers, body)
        if operation is not None:
            streaming = operation.has_streaming_output and answer.status < 300
            self.watch.see(operation, answer.status, dict(answer.getheaders()), b"" if streaming else content)

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
