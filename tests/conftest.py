"""Fixtures of all tests that talk to a running daemon. See tests/README.md."""

import contextlib
import os
import pathlib
import signal
import time

import boto3
import botocore.config
import botocore.exceptions
import botocore.session
import pytest

from harness.daemon import ROOT, Daemon, binary, free_port
from harness.functions import Functions
from harness.recorder import Recorder
from harness.walk import Watch

REGION = "us-east-1"
ACCOUNT = "000000000000"
SECONDS_PER_TEST = 60

watch = Watch()


class TookTooLong(BaseException):
    """Not an Exception, so that no test swallows it."""


@contextlib.contextmanager
def bounded(seconds, what):
    def give_up(*_):
        raise TookTooLong(f"{what} took more than {seconds} s")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item):
    """Bound every test in time, and fail it for any response that its model does not allow."""
    marker = item.get_closest_marker("seconds")
    seconds = marker.args[0] if marker else SECONDS_PER_TEST
    watch.take()
    with bounded(seconds, item.name):
        outcome = yield
    problems = watch.take()
    if outcome.excinfo is not None and isinstance(outcome.excinfo[1], TookTooLong):
        outcome.force_exception(pytest.fail.Exception(str(outcome.excinfo[1])))
    elif problems and outcome.excinfo is None:
        listing = "\n".join(dict.fromkeys(problems))
        outcome.force_exception(pytest.fail.Exception(f"responses that the model does not allow:\n{listing}"))
    elif problems:
        item.add_report_section("call", "responses that the model does not allow", "\n".join(dict.fromkeys(problems)))


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session):
    """A worker tells the run what it has walked; a run whose clients' answers were not walked has failed."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["walk"] = [watch.clients, watch.walked]
    elif watch.is_blind() and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    clients, walked = getattr(node, "workeroutput", {}).get("walk", [0, 0])
    watch.clients += clients
    watch.walked += walked


def pytest_terminal_summary(terminalreporter):
    """Skips are counted aloud: a skipped test proves nothing."""
    terminalreporter.write_line(f"{watch.walked} responses were walked against their models.")
    if watch.is_blind():
        terminalreporter.write_line(f"FAILED: nothing that {watch.clients} clients got was walked.", red=True, bold=True)
    skipped = terminalreporter.stats.get("skipped", [])
    if skipped:
        terminalreporter.write_line(f"ATTENTION: {len(skipped)} tests were SKIPPED and prove nothing.", red=True, bold=True)


@pytest.fixture(scope="session")
def daemon_binary():
    path = binary()
    if not path.exists():
        pytest.fail(f"no daemon to test at {path}: build it, or set MAYFLY_BIN")
    if os.geteuid() != 0:
        pytest.fail("the daemon makes sandboxes: run the tests as root")
    return path


@contextlib.contextmanager
def running(*flags, **options):
    """A daemon that must leave with status 0 and take everything with it."""
    daemon = Daemon(*flags, **options)
    daemon.start()
    try:
        yield daemon
    finally:
        alive = daemon.process.poll() is None
        status = daemon.stop() if alive else daemon.process.returncode
        left = daemon.leftovers()
    assert alive, f"the daemon died by itself with status {status}:\n{daemon.log()[-4000:]}"
    assert status == 0, f"SIGTERM: left with status {status}, not 0:\n{daemon.log()[-4000:]}"
    assert not any(left.values()), f"left behind: {left}"
    misfits = daemon.misfits()
    assert not misfits, "answers with members that their model lacks:\n" + "\n".join(dict.fromkeys(misfits))
    daemon.forget()


@pytest.fixture(scope="session")
def run_daemon(daemon_binary):
    """For fixtures that outlive a test: `with run_daemon("--flag") as daemon`."""
    return running


@pytest.fixture(scope="session")
def daemon(daemon_binary):
    with running() as one:
        yield one


@pytest.fixture
def another_daemon(daemon_binary):
    """Start a daemon of the test's own: another_daemon("--flag", account=…)."""
    with contextlib.ExitStack() as stack:

        def start(*flags, **options):
            return stack.enter_context(running(*flags, **options))

        yield start


@pytest.fixture(scope="module")
def daemon_of(daemon_binary):
    """The same for all tests of a module."""
    with contextlib.ExitStack() as stack:
        yield lambda *flags, **options: stack.enter_context(running(*flags, **options))


class Aws:
    """boto3 clients of one endpoint, made once each, every response of theirs walked; `verify`: a CA's file, for HTTPS."""

    def __init__(self, endpoint, verify=None):
        self.endpoint = endpoint
        self.verify = verify
        self.clients = {}

    def client(self, service, region=REGION, access_key="test", **config):
        key = (service, region, access_key, tuple(sorted(config.items())))
        if key not in self.clients:
            session = boto3.session.Session(botocore_session=_session())
            made = session.client(
                service,
                region_name=region,
                endpoint_url=self.endpoint,
                verify=self.verify,
                aws_access_key_id=access_key,
                aws_secret_access_key="test",
                config=botocore.config.Config(
                    **{
                        "retries": {"total_max_attempts": 1},
                        "parameter_validation": False,
                        "connect_timeout": 5,
                        "read_timeout": 70,
                        "max_pool_connections": 64,
                        **config,
                    }
                ),
            )
            watch.attach(made)
            self.clients[key] = made
        return self.clients[key]

    def functions(self, region=REGION, account=None):
        """Functions of a region; `account` (12 digits) is another world."""
        client = self.client("lambda", region=region, access_key=account or "test")
        return Functions(client, account or ACCOUNT)


_sessions = []


def _session():
    """One botocore session: loading the models is the slow part."""
    if not _sessions:
        _sessions.append(botocore.session.Session())
    return _sessions[0]


@pytest.fixture(scope="session")
def aws(daemon):
    return Aws(daemon.endpoint)


@pytest.fixture(scope="session")
def aws_of():
    """Clients of another daemon: aws_of(daemon)."""
    return lambda one, **more: Aws(more.pop("endpoint", one.endpoint), **more)


@pytest.fixture(scope="session")
def functions(aws):
    return aws.functions()


@pytest.fixture(scope="session")
def lambda_(aws):
    return aws.client("lambda")


@pytest.fixture(scope="session")
def logs(aws):
    return aws.client("logs")


_worlds = iter(range(700000000000, 800000000000))


@pytest.fixture
def empty_world(aws):
    """Functions of an account that nobody has used: nothing is in it."""
    return aws.functions(account=str(next(_worlds)))


@pytest.fixture(scope="session")
def echo(functions):
    """A Python function that returns its event; tests must not change it."""
    return functions.make()


@pytest.fixture(scope="session")
def recorder(daemon):
    one = Recorder(daemon.port, free_port(), watch)
    yield one
    one.stop()


@pytest.fixture(scope="session")
def aws_environment(recorder):
    """The environment in which stock tools find the daemon and nothing else; their answers are walked too."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
    return {
        **kept,
        "AWS_ENDPOINT_URL": recorder.endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        "AWS_PAGER": "",
        "AWS_MAX_ATTEMPTS": "1",
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
    }


@pytest.fixture(scope="session")
def cache():
    """A folder that outlives test runs, for what clients fetch and build."""
    path = os.environ.get("MAYFLY_TEST_CACHE", "/var/tmp/mayfly-test-cache")
    os.makedirs(path, exist_ok=True)
    return pathlib.Path(path)


@pytest.fixture(scope="session")
def root():
    return ROOT


@pytest.fixture(scope="session")
def eventually():
    """Try until the condition holds: eventually(lambda: …). What is not there yet (a log group, say) is a no."""

    def wait(condition, seconds=10, pause=0.05):
        deadline = time.monotonic() + seconds
        while True:
            try:
                result = condition()
            except botocore.exceptions.ClientError as error:
                if error.response["Error"]["Code"] != "ResourceNotFoundException" or time.monotonic() > deadline:
                    raise
                result = None
            if result:
                return result
            assert time.monotonic() < deadline, f"not in {seconds} s; the last result was {result!r}"
            time.sleep(pause)

    return wait
