"""
Compile the pack's own classes into a jar: compile.py JAVAC JAR SOURCE… The same sources give the
same bytes. Java 8 can run them, as AWS's client.
"""
import pathlib
import subprocess
import sys
import tempfile
import zipfile

javac, jar, *sources = sys.argv[1:]
with tempfile.TemporaryDirectory() as folder:
    subprocess.run([javac, "--release", "8", "-Xlint:all,-options", "-Werror", "-d", folder, *sources], check=True)
    with zipfile.ZipFile(jar, "w") as archive:
        for file in sorted(pathlib.Path(folder).rglob("*.class")):
            info = zipfile.ZipInfo(str(file.relative_to(folder)), (2024, 1, 1, 0, 0, 0))
            info.external_attr = 0o644 << 16
            archive.writestr(info, file.read_bytes())
