"""Function URLs in a browser: a page from one of them asks others, across origins. The browser decides what its page may
send and see; it is told what to open by the DevTools protocol, over pipes."""

import contextlib
import itertools
import json
import os
import pathlib
import shutil
import subprocess
import urllib.parse

import pytest

from harness.errors import error
from harness.functions import NODE, unique
from harness.sdk import SIGNED
from harness.streams import STEPS
from harness.urls import make_url

BROWSERS = ["chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"]
FLAGS = ["--headless", "--no-sandbox", "--no-proxy-server", "--no-first-run", "--disable-gpu", "--disable-dev-shm-usage"]

PAGE_HTML = pathlib.Path(__file__).parent / "browser" / "page.html"
PAGE = """
def handler(event, context):
    return {"statusCode": 200, "headers": {"Content-Type": "text/html"}, "body": open("page.html").read()}
"""

# Says what it was sent; or gives another function the tag that this one waits for.
API = f"""{SIGNED}
import json, urllib.parse

def handler(event, context):
    asked = json.loads(event["body"])
    if "tag" in asked:
        once = urllib.parse.quote(asked["tag"], safe="")
        twice = urllib.parse.quote(once)  # in what is signed
        request = signed("lambda", "/2017-03-31/tags/" + twice, b'{{"Tags": {{"seen": "yes"}}}}')
        request.full_url = request.full_url.replace(twice, once)
        with urllib.request.urlopen(request) as answer:
            return {{"statusCode": answer.status}}
    seen = {{"cookies": event.get("cookies"), "wish": event["headers"].get("x-wish"), "origin": event["headers"]["origin"]}}
    headers = {{"X-Number": "1", "X-Hidden": "2"}}
    return {{"statusCode": 201, "headers": headers, "cookies": ["visited=yes; HttpOnly"], "body": json.dumps(seen)}}
"""


class Browser:
    """A headless Chromium. It reads commands at its descriptor 3 and answers at 4: JSON, each ended by a zero byte."""

    def __init__(self, program, home):
        reads, commands = os.pipe()
        answers, writes = os.pipe()
        words = [program, *FLAGS, "--remote-debugging-pipe", f"--user-data-dir={home}", "about:blank"]
        self.process = subprocess.Popen(
            ["bash", "-c", f'exec 8<&{reads} 9>&{writes}; exec "$@" 3<&8 4>&9', "bash", *words],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, pass_fds=(reads, writes),
        )  # fmt: skip
        os.close(reads), os.close(writes)
        self.commands, self.answers = os.fdopen(commands, "wb", buffering=0), os.fdopen(answers, "rb")
        self.rest, self.ids = b"", itertools.count(1)

    def ask(self, method, session=None, **parameters):
        number = next(self.ids)
        command = {"id": number, "method": method, "params": parameters, **({"sessionId": session} if session else {})}
        self.commands.write(json.dumps(command).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == number:
                assert "error" not in answer, answer
                return answer["result"]

    def _next(self):
        while b"\0" not in self.rest:
            some = self.answers.read1(65536)
            assert some, f"the browser has left with status {self.process.wait(10)}"
            self.rest += some
        message, _, self.rest = self.rest.partition(b"\0")
        return json.loads(message)

    def open(self, url):
        """evaluate(expression) in a new page."""
        target = self.ask("Target.createTarget", url=url)["targetId"]
        session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]

        def evaluate(expression):
            answer = self.ask("Runtime.evaluate", session, expression=expression, returnByValue=True)
            return answer["result"].get("value")

        return evaluate

    def close(self):
        self.commands.close()  # which ends it
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.answers.close()


@pytest.fixture
def browser(tmp_path):
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if not program:
        pytest.skip(f"none of {BROWSERS} on this machine: tools/setup check installs one")
    with contextlib.closing(Browser(program, tmp_path / "profile")) as one:
        yield one


@pytest.mark.seconds(120)
def test_a_page_asks_across_origins(browser, functions, lambda_, aws, eventually):
    """It may ask function URLs, as far as their CORS goes; the endpoint itself takes nothing from it."""
    role = unique("made-by-a-page")
    page = make_url(lambda_, functions.make(files={"lambda_function.py": PAGE, "page.html": PAGE_HTML.read_text()}))
    origin = page.rstrip("/")
    cors = {
        "AllowOrigins": [origin], "AllowMethods": ["POST"], "AllowHeaders": ["content-type", "x-wish"],
        "AllowCredentials": True, "ExposeHeaders": ["x-number"],
    }  # fmt: skip
    api = make_url(lambda_, functions.make(API), Cors=cors)
    streaming = functions.make(STEPS, runtime=NODE, Timeout=30)
    stream = make_url(lambda_, streaming, InvokeMode="RESPONSE_STREAM", Cors={"AllowOrigins": ["*"], "AllowMethods": ["POST"]})

    query = urllib.parse.urlencode({"api": api, "stream": stream, "arn": functions.arn(streaming), "endpoint": aws.endpoint, "role": role})
    evaluate = browser.open(f"{page}?{query}")
    eventually(lambda: evaluate("document.getElementById('done') !== null"), seconds=60)
    items = evaluate("Object.fromEntries([...document.querySelectorAll('li')].map((one) => [one.id, JSON.parse(one.textContent)]))")

    assert items.pop("done") is True
    answered = {"status": 201, "headers": ["1", None], "origin": origin}
    assert items.pop("first") == {**answered, "wish": "hello", "cookies": None}
    assert items.pop("second") == {**answered, "wish": "again", "cookies": ["visited=yes"]}
    assert items.pop("anonymous") == {**answered, "wish": None, "cookies": None}
    assert items.pop("refused") == "TypeError", "the preflight does not allow the header"
    assert items.pop("told") == 204
    assert items.pop("stream") == {"pieces": ["one ", "two"], "type": "text/event-stream"}
    assert not items
    for name in (f"{role}-form", f"{role}-image"):
        with error("NoSuchEntity", status=404):
            aws.client("iam").get_role(RoleName=name)
