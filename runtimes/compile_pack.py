"""
Compile the modules of a pack with every Python that its manifest finds on this machine:
compile_pack.py FOLDER [STAMP]. A relative FOLDER is below meson's installation prefix.

Without compiled modules the pack works all the same: each start compiles them again, because
a sandbox cannot write to its runtime's folder.
"""
import configparser
import glob
import os
import subprocess
import sys


def interpreters(folder):
    """The programs that the manifest's patterns match, each once."""
    manifest = configparser.ConfigParser(interpolation=None)
    manifest.read(os.path.join(folder, "pack.ini"), encoding="utf-8")
    patterns = manifest["pack"]["interpreter"].split()
    return sorted({os.path.realpath(path) for pattern in patterns for path in glob.glob(pattern)})


def compile_with(interpreter, folder):
    oldest = "import sys; sys.exit(sys.version_info < (3, 8))"
    if subprocess.run([interpreter, "-I", "-c", oldest], check=False).returncode == 0:
        subprocess.run([interpreter, "-I", "-m", "compileall", "-q", "-l", folder], check=True)


def main(folder, stamp=None):
    folder = os.path.join(os.environ.get("MESON_INSTALL_DESTDIR_PREFIX", ""), folder)
    for interpreter in interpreters(folder):
        compile_with(interpreter, folder)
    if stamp:
        with open(stamp, "w", encoding="utf-8"):
            pass


main(*sys.argv[1:])
