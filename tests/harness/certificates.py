"""A certification authority for one test, and a certificate of its for one host."""

import pathlib
import subprocess
import tempfile

CURVE = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def make(host):
    """(authority, certificate, key): files that every user may read."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="mayfly-test-ca-"))
    folder.chmod(0o755)

    def openssl(*words):
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

    (folder / "extensions").write_text(f"subjectAltName=DNS:{host}\n")
    openssl("req", "-x509", *CURVE, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=Authority of a test")
    openssl("req", *CURVE, "-keyout", "host.key", "-out", "host.csr", "-subj", "/CN=host")
    openssl(
        *("x509", "-req", "-in", "host.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"),
        *("-days", "2", "-extfile", "extensions", "-out", "host.pem"),
    )
    return folder / "ca.pem", folder / "host.pem", folder / "host.key"
