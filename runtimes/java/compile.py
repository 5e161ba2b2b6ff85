"""
Compile the pack's own classes into a jar, which Java 8 can run as it can AWS's client, and one class
that stands alone, for Java 11: compile.py JAVAC JAR CLASS SOURCE… (the last is that class's). The
same sources give the same bytes.
"""
import pathlib
import shutil
import subprocess
import sys
import tempfile
import zipfile

javac, jar, alone, *sources = sys.argv[1:]


def compile_to(folder, release, files):
    subprocess.run([javac, "--release", release, "-Xlint:all,-options", "-Werror", "-d", folder, *files], check=True)


with tempfile.TemporaryDirectory() as folder:
    compile_to(folder, "8", sources[:-1])
    with zipfile.ZipFile(jar, "w") as archive:
        for file in sorted(pathlib.Path(folder).rglob("*.class")):
            info = zipfile.ZipInfo(str(file.relative_to(folder)), (2024, 1, 1, 0, 0, 0))
            info.external_attr = 0o644 << 16
            archive.writestr(info, file.read_bytes())
with tempfile.TemporaryDirectory() as folder:
    compile_to(folder, "11", sources[-1:])
    shutil.copyfile(pathlib.Path(folder, pathlib.Path(alone).name), alone)
