"""Certificates for tests, made by the openssl command."""

import pathlib
import ssl
import subprocess

NAMES = "DNS:localhost,DNS:*.lambda-url.us-east-1.localhost,IP:127.0.0.1"


def openssl(*words):
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True, timeout=30)


class Authority:
    """Issues certificates in a folder of its own; clients that are given `path` believe them."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.path, self.key = self.folder / "ca.pem", self.folder / "ca.key"
        openssl("req", "-x509", *self._new_key(self.key), "-days", 30, "-subj", "/CN=tests", "-out", self.path)

    @staticmethod
    def _new_key(path):
        return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", path]

    def issue(self, name, days=10, names=NAMES):
        """The paths of a certificate (with its issuer behind it) and of its key, which root alone may read."""
        cert, key, asked, said = (self.folder / f"{name}.{kind}" for kind in ("pem", "key", "csr", "names"))
        said.write_text(f"subjectAltName={names}\n")
        openssl("req", *self._new_key(key), "-subj", f"/CN={name}", "-out", asked)
        openssl("x509", "-req", "-in", asked, "-CA", self.path, "-CAkey", self.key, "-CAcreateserial", "-days", days,
                "-extfile", said, "-out", cert)
        cert.write_bytes(cert.read_bytes() + self.path.read_bytes())
        key.chmod(0o600)
        return cert, key

    def context(self):
        """For clients: they believe this authority and nobody else."""
        return ssl.create_default_context(cafile=self.path)


def common_name(connection):
    """Of the server's certificate on an open connection."""
    return dict(pair for part in connection.getpeercert()["subject"] for pair in part)["commonName"]
