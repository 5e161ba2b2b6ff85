"""What the packs find on this machine, and how they are started on a function's code."""
import configparser
import glob
import itertools
import os
import re
import subprocess
from pathlib import Path

from environment import Environment, write_code
from runtime_api import RuntimeApi

PACKS = Path(os.environ.get("MAYFLY_PACKS", Path(__file__).parent.parent)).resolve()


def read_manifest(name):
    manifest = configparser.ConfigParser(interpolation=None, comment_prefixes=(";",))
    manifest.read(PACKS / name / "pack.ini", encoding="utf-8")
    return dict(manifest["pack"])


def split_words(text):
    """Words as the manifest's format has them: spaces separate, "a quoted word" keeps its own."""
    return [quoted or plain for quoted, plain in re.findall(r'"([^"]*)"|([^ ]+)', text)]


def expand(words, **names):
    return [re.sub(r"\{(\w+)\}", lambda m: names[m.group(1)], word) for word in words]


def ask(template, interpreter):
    """The first line that a template of the manifest prints, or None."""
    said = subprocess.run(expand(split_words(template), interpreter=interpreter),
                          capture_output=True, text=True, timeout=10, check=False)
    return said.stdout.split("\n")[0] if said.returncode == 0 else None


def as_numbers(version):
    return [int(n) for n in version.split(".")]


def find_interpreters(name):
    """{version: program} of what the pack's manifest finds, as `mayfly serve` reads it."""
    manifest, found = read_manifest(name), {}
    for pattern in split_words(manifest["interpreter"]):
        for path in sorted(glob.glob(pattern)):
            program = os.path.realpath(path)
            said = re.search(r"\d[\d.]*", ask(manifest["version"], program) or "")
            version = said and said[0].rstrip(".")
            if version and as_numbers(version) >= as_numbers(manifest.get("oldest", "0")):
                found.setdefault(version, program)
    return dict(sorted(found.items(), key=lambda item: as_numbers(item[0])))


PYTHONS = find_interpreters("python")
NODES = find_interpreters("nodejs")
RUBIES = find_interpreters("ruby")


class Pack:
    """One installed runtime of a pack; `start` makes environments of it."""

    def __init__(self, name, version, program, folder, packs=PACKS):
        self.name, self.version, self.program = name, version, program
        self.folder = folder
        self.numbers = itertools.count(1)
        self.running = []
        manifest = read_manifest(name)
        self.argv = expand(split_words(manifest["argv"]), interpreter=program, version=version,
                           pack=str(packs / name))
        self.env = dict(word.split("=", 1) for word in split_words(manifest["env"]))
        self.env = {k: v.replace("/var/runtime", str(packs / name)) for k, v in self.env.items()}
        self.env["PYTHONDONTWRITEBYTECODE"] = "1"  # the packs stay as they are

    def start(self, files, *, handler, runtime, env=None, argv=None, is_stem=False, stem_env=None, **api):
        task = write_code(self.folder / ("task-%d" % next(self.numbers)), files)
        stem = None
        if is_stem:
            stem = {k: v.replace("{task}", str(task)) for k, v in {**self.env, **(stem_env or {})}.items()}
        environment = Environment(argv or self.argv, task, RuntimeApi(**api), handler,
                                  "AWS_Lambda_" + runtime, {**self.env, **(env or {})}, stem)
        self.running.append(environment.__enter__())
        return environment

    def stop(self):
        for environment in self.running:
            environment.__exit__()


def python_starter(version, program, folder):
    """start(code) → Environment of the python pack."""
    pack = Pack("python", version, program, folder)

    def start(code, handler="lambda_function.handler", runtime="python3.12", **more):
        files = {"lambda_function.py": code} if isinstance(code, str) else code
        return pack.start(files, handler=handler, runtime=runtime, **more)

    start.pack = pack
    return start


def ruby_starter(version, program, folder):
    """start(code) → Environment of the ruby pack."""
    pack = Pack("ruby", version, program, folder)

    def start(code, handler="function.handler", runtime="ruby3.3", **more):
        files = {"function.rb": code} if isinstance(code, str) else code
        return pack.start(files, handler=handler, runtime=runtime, **more)

    start.pack = pack
    return start


def node_starter(version, program, folder):
    """start(code) → Environment of the nodejs pack."""
    pack = Pack("nodejs", version, program, folder)

    def start(code, handler="index.handler", runtime="nodejs20.x", **more):
        files = {"index.js": code} if isinstance(code, str) else code
        return pack.start(files, handler=handler, runtime=runtime, **more)

    start.pack = pack
    return start
