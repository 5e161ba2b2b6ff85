"""HTTP as bytes: send exactly these, read whole answers back, notice when the peer closes."""

import socket


class Answer:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    def __repr__(self):
        return f"<{self.status} {self.body[:80]!r}>"


class Peer:
    """One TCP connection to the daemon; `tls`: an ssl.SSLContext, for one over TLS."""

    def __init__(self, port, timeout=10, tls=None):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_hostname="localhost")
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data.encode() if isinstance(data, str) else data)
        return self

    def _more(self):
        try:
            data = self.socket.recv(65536)
        except ConnectionResetError:
            data = b""
        self.buffer += data
        return bool(data)

    def _until(self, needle):
        while needle not in self.buffer:
            if not self._more():
                raise EOFError(f"closed after {self.buffer[:200]!r}")
        head, _, self.buffer = self.buffer.partition(needle)
        return head

    def _exactly(self, count):
        while len(self.buffer) < count:
            if not self._more():
                raise EOFError(f"closed {count - len(self.buffer)} bytes early")
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    def answer(self, method="GET"):
        """The next whole answer; interim ones (100) are answers too."""
        lines = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        version, status, *_ = lines[0].split(" ")
        assert version == "HTTP/1.1", lines[0]
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        status = int(status)
        if status < 200 or status in (204, 304) or method == "HEAD":
            body = b""
        elif headers.get("transfer-encoding") == "chunked":
            body = b""
            while True:
                size = int(self._until(b"\r\n").split(b";")[0], 16)
                chunk = self._exactly(size + 2)[:-2]
                if not size:
                    break
                body += chunk
        else:
            body = self._exactly(int(headers["content-length"]))
        return Answer(status, headers, body)

    def is_closed(self, timeout=5):
        """Has the peer closed, with nothing more to say?"""
        self.socket.settimeout(timeout)
        try:
            while True:
                data = self.socket.recv(65536)
                if not data:
                    return True
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False


def request(method, target, headers=None, body=b"", version="HTTP/1.1", length=True):
    """A request as bytes; Host and Content-Length are added unless given."""
    fields = {"Host": "127.0.0.1", **(headers or {})}
    if length and (body or method in ("POST", "PUT")) and "Content-Length" not in fields:
        fields["Content-Length"] = str(len(body))
    head = f"{method} {target} {version}\r\n" + "".join(f"{k}: {v}\r\n" for k, v in fields.items()) + "\r\n"
    return head.encode("latin-1") + body


def scope(service, key="test", region="us-east-1"):
    """An Authorization header that names a service; the signature is not checked on loopback."""
    return {
        "Authorization": f"AWS4-HMAC-SHA256 Credential={key}/20240101/{region}/{service}/aws4_request, "
        "SignedHeaders=host;x-amz-date, Signature=" + "0" * 64,
        "X-Amz-Date": "20240101T000000Z",
    }
