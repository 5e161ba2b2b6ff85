"""The Java pack: AWS's own client in the sandbox, forms of handlers, errors, the log, options of the JVM."""

import base64
import os
import shutil
import subprocess
import warnings

import pytest

from harness.functions import JAVA, unique, zip_files

pytestmark = [pytest.mark.network, pytest.mark.seconds(300)]

SOURCE = """
package example;

import com.amazonaws.services.lambda.runtime.*;
import java.io.*;
import java.util.*;

public class Handler implements RequestHandler<Map<String, Object>, Object> {
    public static class Order { public String id; public int count; }

    static { if (System.getenv("FAIL_INIT") != null) throw new IllegalStateException("startup fails"); }

    public Object handleRequest(Map<String, Object> event, Context context) {
        if (event.containsKey("fail")) throw new RuntimeException("Error: some_error_msg");
        if (event.containsKey("exit")) System.exit(3);
        if (event.containsKey("fill")) { List<byte[]> all = new ArrayList<>(); while (true) all.add(new byte[1 << 20]); }
        System.out.println("out\\nof two lines");
        context.getLogger().log("one\\nevent");
        Map<String, Object> seen = new TreeMap<>();
        seen.put("event", event);
        seen.put("env", System.getenv());
        seen.put("cwd", new File(".").getAbsoluteFile().getParent());
        seen.put("heap", Runtime.getRuntime().maxMemory());
        seen.put("locale", Locale.getDefault() + " " + java.nio.charset.Charset.defaultCharset());
        seen.put("property", System.getProperty("from.options"));
        seen.put("context", Arrays.asList(context.getFunctionName(), context.getFunctionVersion(),
            context.getInvokedFunctionArn(), context.getMemoryLimitInMB(), context.getAwsRequestId(),
            context.getLogGroupName()));
        seen.put("remaining", context.getRemainingTimeInMillis());
        return seen;
    }

    public Order order(Order order) { order.count *= 2; return order; }

    public String text(String text, Context context) { return text + " " + context.getFunctionVersion(); }

    public void stream(InputStream in, OutputStream out) throws IOException {
        for (int c = in.read(); c >= 0; c = in.read()) out.write(Character.toUpperCase(c));
    }

    public static class Stream implements RequestStreamHandler {
        public void handleRequest(InputStream in, OutputStream out, Context context) throws IOException {
            out.write("{\\"streamed\\":true}".getBytes());
        }
    }
}
"""


@pytest.fixture(scope="module")
def packs(daemon_binary, cache):
    """A folder of packs in which the one for Java is installed."""
    if not shutil.which("javac"):
        pytest.skip("there is no JDK on this machine: Java functions were NOT TESTED")
    folder = cache / f"packs-{os.getpid()}"
    shutil.copytree(daemon_binary.parent / "runtimes", folder, ignore=shutil.ignore_patterns("*.p", "__pycache__"))
    done = subprocess.run(
        [daemon_binary, "runtime", "install", "java", "--runtimes-dir", folder],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    if done.returncode:
        shutil.rmtree(folder)
        warnings.warn(f"AWS's client cannot be fetched, so Java functions were NOT TESTED: {done.stderr[-500:]}", stacklevel=1)
        pytest.skip("AWS's client cannot be fetched")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def world(daemon_of, packs, aws_of):
    return aws_of(daemon_of("--runtimes-dir", str(packs)))


@pytest.fixture(scope="module")
def java(world):
    return world.functions()


@pytest.fixture(scope="module")
def logged(world, eventually):
    """Wait until a function's log has this text; all of it."""

    def read(name, text):
        def enough():
            logs = world.client("logs")
            pages = logs.get_paginator("filter_log_events").paginate(logGroupName=f"/aws/lambda/{name}")
            try:
                everything = "".join(event["message"] for page in pages for event in page["events"])
            except logs.exceptions.ResourceNotFoundException:
                return None  # the group comes with the first lines, after the answer
            return everything if text in everything else None

        return eventually(enough, seconds=40)

    return read


def compiled(packs, folder, text):
    """The ZIP of a function of one class."""
    source = folder / "Handler.java"
    source.write_text(text)
    core = packs / "java" / "lib" / "aws-lambda-java-core.jar"
    subprocess.run(["javac", "--release", "17", "-cp", core, "-d", folder, source], check=True, timeout=120)
    return zip_files({str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*.class"))})


@pytest.fixture(scope="module")
def classes(packs, tmp_path_factory):
    return compiled(packs, tmp_path_factory.mktemp("java"), SOURCE)


@pytest.fixture(scope="module")
def make(java, classes):
    def one(**settings):
        return java.make(zipped=classes, **{"runtime": JAVA, "Timeout": 20, "MemorySize": 512, **settings})

    return one


def failed(java, name, event, **more):
    answer, payload = java.invoke(name, event, **more)
    assert (answer["StatusCode"], answer.get("FunctionError")) == (200, "Unhandled"), payload
    return answer, payload


def test_a_request_handler_its_context_and_its_environment(java, make, logged):
    name = make(Environment={"Variables": {"TEST_KEY": "wärt", "JAVA_TOOL_OPTIONS": "-Dfrom.options=yes"}})
    answer, seen = java.invoke(name, {"ü": [1, None]}, LogType="Tail")
    request, env = answer["ResponseMetadata"]["RequestId"], seen["env"]
    assert (seen["event"], seen["cwd"], seen["property"]) == ({"ü": [1, None]}, "/var/task", "yes")
    assert seen["locale"] == "en_US UTF-8"
    assert seen["context"] == [name, "$LATEST", java.arn(name), 512, request, f"/aws/lambda/{name}"]
    assert 0.80 * 512 < seen["heap"] / 2**20 <= 0.85 * 512
    assert 10_000 < seen["remaining"] <= 20_000
    assert (env["TEST_KEY"], env["_HANDLER"]) == ("wärt", "example.Handler")
    assert env["AWS_EXECUTION_ENV"] == f"AWS_Lambda_{JAVA}"
    tail = base64.b64decode(answer["LogResult"]).decode()
    assert "out\nof two lines\n" in tail and "one\nevent" in tail
    assert "warning" not in logged(name, "Picked up JAVA_TOOL_OPTIONS: -Dfrom.options=yes").lower()
    assert java.call(name, {})["event"] == {}


@pytest.mark.parametrize(
    "handler, event, result",
    [
        ("example.Handler::order", {"id": "a", "count": 2}, {"id": "a", "count": 4}),
        ("example.Handler::text", "x", "x $LATEST"),
        ("example.Handler::stream", "abc", "ABC"),
        ("example.Handler$Stream", {}, {"streamed": True}),
        ("example.Handler$Stream::handleRequest", {}, {"streamed": True}),
    ],
)
def test_forms_of_handlers(java, make, handler, event, result):
    assert java.call(make(Handler=handler), event) == result


@pytest.mark.parametrize("runtime", ["java8.al2", "java11", "java21", "java25"])
def test_every_name_is_served_by_the_nearest_version(java, make, logged, runtime):
    name = make(runtime=runtime, Handler="example.Handler::text")
    assert java.call(name, "x") == "x $LATEST"
    assert "warning" not in logged(name, "REPORT").lower()


def test_an_exception(java, make, logged):
    name = make()
    _, payload = failed(java, name, {"fail": True})
    trace = payload.pop("stackTrace")
    assert payload == {"errorMessage": "Error: some_error_msg", "errorType": "java.lang.RuntimeException"}
    assert trace[0].startswith("example.Handler.handleRequest(Handler.java:")
    assert "\tat example.Handler.handleRequest" in logged(name, "Error: some_error_msg: java.lang.RuntimeException\n")
    assert java.call(name, {})["event"] == {}, "the environment lives on"


@pytest.mark.parametrize(
    "handler, told",
    [
        ("example.Nothing", {"errorMessage": "Class not found: example.Nothing", "errorType": "java.lang.ClassNotFoundException"}),
        ("example.Handler::nothing", {"errorMessage": "No public method named nothing with appropriate method signature found on class example.Handler"}),
    ],
)
def test_a_handler_that_is_not_there(java, make, handler, told):
    _, payload = failed(java, make(Handler=handler), {})
    assert {name: payload.get(name) for name in told} == told


def test_a_class_that_cannot_be_initialised(java, make):
    _, payload = failed(java, make(Environment={"Variables": {"FAIL_INIT": "1"}}), {})
    assert payload == {"errorMessage": "Error loading class example.Handler", "errorType": "java.lang.ExceptionInInitializerError"}


def test_the_end_of_the_process(java, make):
    name = make()
    answer, payload = failed(java, name, {"exit": True})
    request = answer["ResponseMetadata"]["RequestId"]
    reason = f"RequestId: {request} Error: Runtime exited with error: exit status 3"
    assert payload == {"errorType": "Runtime.ExitError", "errorMessage": reason}
    _, payload = failed(java, name, {"fill": True})
    assert payload["errorType"] == "java.lang.OutOfMemoryError"
    assert java.call(name, {})["event"] == {}


def test_the_example(java, packs, root, tmp_path):
    text = (root / "examples/java/src/main/java/example/Handler.java").read_text()
    name = java.make(zipped=compiled(packs, tmp_path, text), runtime=JAVA, MemorySize=256, Timeout=20)
    assert java.call(name, {"name": "you"}) == {"message": "Hello, you!"}
    assert java.call(name, {}) == {"message": "Hello, world!"}


def test_without_the_client_an_invoke_says_how_to_install_it(another_daemon, aws_of, packs, classes, tmp_path):
    folder = tmp_path / "packs"
    shutil.copytree(packs / "java", folder / "java", ignore=shutil.ignore_patterns("lib"))
    os.chmod(tmp_path, 0o755)
    functions = aws_of(another_daemon("--runtimes-dir", str(folder))).functions()
    name = functions.make(zipped=classes, runtime=JAVA)
    with pytest.raises(functions.client.exceptions.ClientError) as refused:
        functions.invoke(name, {})
    assert "Run 'mayfly runtime install java' as root" in refused.value.response["Error"]["Message"]


@pytest.mark.parametrize("variables", [{}, {"JAVA_TOOL_OPTIONS": "-Dfrom.options=1"}], ids=["stem", "executed"])
def test_a_jar_of_a_layer_is_found(java, world, classes, variables):
    layer = zip_files({"java/lib/handler.jar": classes})
    arn = world.client("lambda").publish_layer_version(LayerName=unique("layer"), Content={"ZipFile": layer})["LayerVersionArn"]
    settings = {"runtime": JAVA, "Timeout": 20, "MemorySize": 512, "Environment": {"Variables": variables}}
    name = java.make(files={"data": "x"}, Layers=[arn], **settings)
    assert java.call(name, {"a": 1})["event"] == {"a": 1}
