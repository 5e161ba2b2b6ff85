"""Runtimes that wait for their function: booted without one, given one, then like any other."""
import os
import shutil
import subprocess
import warnings
from pathlib import Path

import pytest

from packs import PACKS, Pack, find_interpreters


SEEN = """
const seen = { cwd: process.cwd(), env: { ...process.env }, args: process.execArgv, argv: process.argv.length,
	zone: new Date(0).getTimezoneOffset(), global: typeof awslambda,
	listeners: ['beforeExit', 'uncaughtException', 'unhandledRejection'].map((name) => process.listenerCount(name)),
	console: Object.keys(console).sort(), globals: Object.keys(globalThis).sort(),
	cached: Object.keys(require.cache).filter((name) => name.includes('rehearsal')) };
exports.handler = async (event, context) => {
	console.log('here');
	return { ...seen, event, name: context.functionName, dep: require('dep'), now: process.cwd() };
};
"""
DEPENDENCY = {"node_modules/dep/index.js": "module.exports = 'dependency';\n"}


def test_node_becomes_the_functions_environment(node):
    files = {"index.js": SEEN, **DEPENDENCY}
    plain = node(files)
    stem = node(files, is_stem=True, stem_env={"ONLY_OF_THE_STEM": "1"})
    ms = stem.specialise()
    print("node %s: %.1f ms from the environment to the first `next`" % (node.pack.version, ms))
    expected, seen = plain.call(1).json, stem.call(1).json
    for one, environment in ((expected, plain), (seen, stem)):
        assert one["cwd"] == one["now"] == str(environment.task)
        for name in ("cwd", "now", "args"):
            del one[name]
        for name in ("AWS_LAMBDA_RUNTIME_API", "LAMBDA_TASK_ROOT", "PWD", "_", "SHLVL", "OLDPWD"):
            one["env"].pop(name, None)
    assert seen == expected
    assert stem.api.connections == 1, "the connection on which it waited serves it"
    assert stem.log.endswith("\tINFO\there\n") and stem.log.count("\n") == 1, "the rehearsal says nothing"
    assert stem.call(2).json["event"] == 2


@pytest.mark.parametrize("runtime", ["nodejs20.x", "nodejs24.x"])
def test_node_a_stem_has_the_options_of_a_plain_start(node, runtime):
    code = "exports.handler = async () => process.execArgv;\n"
    memory = {"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512"}
    plain = node(code, runtime=runtime, env=memory)
    stem = node(code, runtime=runtime, env=memory, is_stem=True,
                stem_env={"AWS_EXECUTION_ENV": "AWS_Lambda_" + runtime, **memory})
    stem.specialise()
    assert stem.call().json == plain.call().json


@pytest.mark.parametrize("files, handler", [
    ({"app.mjs": "import { word } from './other.mjs';\nexport const handler = async () => word;\n",
      "other.mjs": "export const word = 'found';\n"}, "app.handler"),
    ({"package.json": '{"type":"module"}', "index.js": "export const handler = async () => 'found';\n"}, "index.handler"),
    ({"index.js": "exports.handler = (event, context, done) => setTimeout(() => done(null, 'found'), 5);\n"}, "index.handler"),
])
def test_node_kinds_of_modules(node, files, handler):
    stem = node(files, handler=handler, is_stem=True)
    stem.specialise()
    assert stem.call().json == "found"


def test_node_variables_that_are_read_late(node):
    layer = {"index.js": "exports.handler = async () => [require('shared'), new Date(0).getHours(), process.env.PATH];\n",
             "shared/node_modules/shared/index.js": "module.exports = 'by NODE_PATH';\n"}
    stem = node(layer, is_stem=True, env={"TZ": "Asia/Tokyo", "PATH": "/own"})
    stem.function_env["NODE_PATH"] = str(stem.task / "shared" / "node_modules")
    stem.specialise()
    assert stem.call().json == ["by NODE_PATH", 9, "/own"]


def test_node_errors_of_the_function(node):
    stem = node("throw new TypeError('broken');\n", is_stem=True, runtime="nodejs22.x")
    assert stem.api.is_stem.wait(30)
    stem.api.stems.put(stem.function_env)
    report = stem.api.report()
    assert (report.kind, report.json["errorType"], report.json["errorMessage"]) == ("init", "TypeError", "broken")
    assert stem.exit_status() == 129
    stem = node("exports.handler = async () => { throw new RangeError('late'); };\n", is_stem=True)
    stem.specialise()
    trace = stem.call().json["trace"]
    assert trace[0] == "RangeError: late" and str(stem.task / "index.js") in trace[1]


def test_node_logs_as_the_function_is_configured(node):
    stem = node("exports.handler = async () => { console.debug('no'); console.warn('yes'); };\n", is_stem=True,
                env={"AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_LOG_LEVEL": "WARN"})
    stem.specialise()
    stem.call()
    assert stem.log.count("\n") == 1 and '"message":"yes"' in stem.log


def test_node_a_stem_that_nobody_wants_any_more_ends(node):
    stem = node("exports.handler = 1;\n", is_stem=True)
    assert stem.api.is_stem.wait(30)
    stem.api.close()
    assert stem.exit_status() == 1
    assert stem.api.connections == 1


# ---- Python ----

PYTHON_SEEN = """
import os, sys, time
SEEN = {"cwd": os.getcwd(), "env": dict(os.environ), "path": sys.path[:4], "zone": time.timezone,
        "rehearsal": [name for name in sys.modules if "rehearsal" in name]}

def handler(event, context):
    import dep
    print("here")
    return {**SEEN, "event": event, "name": context.function_name, "dep": dep.WORD, "argv": len(sys.argv)}
"""


def test_python_becomes_the_functions_environment(python):
    files = {"lambda_function.py": PYTHON_SEEN, "dep.py": "WORD = 'dependency'\n"}
    plain = python(files, env={"TZ": "Asia/Tokyo"})
    stem = python(files, env={"TZ": "Asia/Tokyo"}, is_stem=True, stem_env={"ONLY_OF_THE_STEM": "1"})
    ms = stem.specialise()
    print("python %s: %.1f ms from the environment to the first `next`" % (python.pack.version, ms))
    expected, seen = plain.call(1).json, stem.call(1).json
    for one, environment in ((expected, plain), (seen, stem)):
        assert (one.pop("cwd"), one["path"].pop(0)) == (str(environment.task),) * 2
        for name in ("AWS_LAMBDA_RUNTIME_API", "LAMBDA_TASK_ROOT", "LC_CTYPE"):
            one["env"].pop(name, None)
    assert seen == expected
    assert (seen["zone"], seen["rehearsal"]) == (-9 * 3600, [])
    assert stem.api.connections == 1, "the connection on which it waited serves it"
    assert stem.log == "here\n", "the rehearsal says nothing"
    assert stem.call(2).json["event"] == 2


def test_python_errors_of_the_function_and_logs(python):
    stem = python("import not_there\n", is_stem=True)
    assert stem.api.is_stem.wait(30)
    stem.api.stems.put(stem.function_env)
    report = stem.api.report()
    assert (report.kind, report.json["errorType"]) == ("init", "Runtime.ImportModuleError")
    assert stem.exit_status() == 1
    stem = python("import logging\ndef handler(event, context):\n    logging.info('no')\n    logging.warning('yes')\n",
                  is_stem=True, env={"AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_LOG_LEVEL": "WARN"})
    stem.specialise()
    stem.call()
    assert stem.log.count("\n") == 1 and '"message": "yes"' in stem.log


def test_python_a_stem_that_nobody_wants_any_more_ends(python):
    stem = python("handler = print\n", is_stem=True)
    assert stem.api.is_stem.wait(30)
    stem.api.close()
    assert stem.exit_status() == 1


# ---- Java ----

JAVA_SOURCE = """
package example;
import java.io.File;
import java.nio.file.*;
import java.util.*;
public class Handler {
    static final Map<String, String> ENV = new TreeMap<>(System.getenv());
    public Map<String, Object> handle(Map<String, Object> event, com.amazonaws.services.lambda.runtime.Context context) throws Exception {
        Map<String, Object> seen = new TreeMap<>();
        if (event.containsKey("fail")) throw new IllegalStateException("as asked");
        System.out.println("here");
        seen.put("name", context.getFunctionName() + context.getMemoryLimitInMB() + context.getLogGroupName());
        seen.put("env", ENV);
        seen.put("file", new String(Files.readAllBytes(Paths.get("data.txt"))));
        seen.put("folder", new File(".").getCanonicalPath());
        seen.put("charset", java.nio.charset.Charset.defaultCharset().name());
        seen.put("zone", TimeZone.getDefault().getRawOffset() / 3600000);
        seen.put("child", new String(new ProcessBuilder("/bin/sh", "-c", "echo $TEST_KEY; pwd").start().getInputStream().readAllBytes()));
        return seen;
    }
}
"""


@pytest.fixture(scope="module")
def java_pack(tmp_path_factory):
    """The pack as it was built, with AWS's client installed."""
    binary = Path(os.environ.get("MAYFLY_BIN", PACKS.parent / "build-check" / "mayfly"))
    built = binary.parent / "runtimes" / "java"
    if not shutil.which("javac") or not (built / "mayfly.jar").exists():
        pytest.skip("mayfly is not built with a JDK: stems of Java were NOT TESTED")
    folder = tmp_path_factory.mktemp("packs")
    shutil.copytree(built, folder / "java", ignore=shutil.ignore_patterns("*.p"))
    done = subprocess.run([binary, "runtime", "install", "java", "--runtimes-dir", folder],
                          capture_output=True, text=True, timeout=240, check=False)
    if done.returncode:
        warnings.warn("AWS's client cannot be fetched: stems of Java were NOT TESTED (%s)" % done.stderr[-500:])
        pytest.skip("AWS's client cannot be fetched")
    return folder


JAVAS = find_interpreters("java")


@pytest.fixture(params=JAVAS.items(), ids=lambda item: item[0])
def java(request, java_pack, tmp_path):
    pack = Pack("java", *request.param, tmp_path, packs=java_pack)

    def start(**more):
        environment = pack.start({"data.txt": "data"}, handler="example.Handler::handle", runtime="java17", **more)
        return environment

    source = tmp_path / "Handler.java"
    source.write_text(JAVA_SOURCE)
    core = java_pack / "java" / "lib" / "aws-lambda-java-core.jar"
    subprocess.run(["javac", "--release", "17", "-cp", core, "-d", tmp_path / "classes", source], check=True, timeout=120)
    start.classes = tmp_path / "classes"
    start.pack = pack
    yield start
    pack.stop()


@pytest.mark.network
@pytest.mark.seconds(300)
def test_java_becomes_the_functions_environment(java):
    env = {"TEST_KEY": "ü", "TZ": "Asia/Tokyo"}
    stem = java(is_stem=True, env=env, stem_env={"ONLY_OF_THE_STEM": "1", "LAMBDA_TASK_ROOT": "{task}"})
    shutil.copytree(java.classes, stem.task, dirs_exist_ok=True)
    ms = stem.specialise()
    print("java %s: %.1f ms from the environment to the first `next`" % (java.pack.version, ms))
    seen = stem.call({}).json
    assert (seen["file"], seen["folder"], seen["zone"], seen["charset"]) == ("data", str(stem.task), 9, "UTF-8")
    assert seen["name"] == "hello128/aws/lambda/hello", "the client has read no variable before"
    assert seen["child"] == "ü\n%s\n" % stem.task
    expected = dict(stem.function_env, PATH="%s/bin:%s" % (Path(java.pack.program).parent.parent, stem.function_env["PATH"]))
    assert {name: value for name, value in seen["env"].items() if name != "LC_ALL"} == expected
    error = stem.call({"fail": 1})
    assert (error.kind, error.json["errorType"]) == ("error", "java.lang.IllegalStateException")
    assert error.json["stackTrace"][0].startswith("example.Handler.handle(Handler.java:")
    assert stem.call({}).kind == "response"
    assert stem.log.startswith("here\n"), "nothing is said before"
