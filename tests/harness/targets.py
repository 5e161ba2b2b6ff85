"""A stand-in for SQS, SNS, EventBridge and S3: keeps what it is sent, and can be made to refuse."""

import http.server
import json
import threading
import urllib.parse

from harness.daemon import free_port


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def _take(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        targets = self.server.targets
        status = targets.refusals.pop(0) if targets.refusals else 200
        if status == 200:
            targets.taken.append((self.command, self.path, dict(self.headers), body))
        answer = b'{"FailedEntryCount":0}' if status == 200 else b'{"message":"not now"}'
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_POST = do_PUT = _take


class Targets:
    def __init__(self):
        self.port = free_port()
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.taken, self.refusals = [], []
        self.server = None

    def start(self):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.server.targets = self
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def stop(self):
        if self.server:
            self.server.shutdown()
            self.server.server_close()
            self.server = None

    def messages(self):
        """The bodies of what was sent to queues, parsed."""
        found = []
        for _, _, headers, body in list(self.taken):
            if headers.get("X-Amz-Target") == "AmazonSQS.SendMessage":
                found.append(json.loads(body))
        return found

    def forms(self):
        return [dict(urllib.parse.parse_qsl(body.decode())) for _, _, headers, body in list(self.taken) if "urlencoded" in headers.get("Content-Type", "")]
