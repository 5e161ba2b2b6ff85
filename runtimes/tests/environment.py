"""An execution environment for tests: a runtime started as a plain process on a folder of code."""
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from runtime_api import RuntimeApi


@dataclass
class Environment:
    """`argv` started on the code in `task`, talking to its own Runtime API."""

    argv: list
    task: Path
    api: RuntimeApi
    handler: str
    execution_env: str
    env: dict
    stem: dict = None  # not None: these variables, and no function until `specialise`

    def __enter__(self):
        self.api.__enter__()
        self.log_path = self.task.parent / (self.task.name + ".log")
        env = {
            "_HANDLER": self.handler,
            "AWS_LAMBDA_RUNTIME_API": self.api.address,
            "LAMBDA_TASK_ROOT": str(self.task),
            "LAMBDA_RUNTIME_DIR": "/var/runtime",
            "AWS_LAMBDA_FUNCTION_NAME": "hello",
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
            "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/hello",
            "AWS_LAMBDA_LOG_STREAM_NAME": "2026/01/01/[$LATEST]00000000000000000000000000000000",
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EXECUTION_ENV": self.execution_env,
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "LANG": "en_US.UTF-8",
            "TZ": ":UTC",
            "PATH": "/usr/local/bin:/usr/bin/:/bin:/opt/bin",
            **self.env,
        }
        env = {name: value for name, value in env.items() if value is not None}
        cwd = self.task
        if self.stem is not None:
            self.function_env, cwd = env, "/"
            env = {"MAYFLY_STEM": "1", "AWS_LAMBDA_RUNTIME_API": self.api.address, **self.stem}
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                self.argv, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        return self

    def specialise(self):
        """Give a stem its function; ms until it asks for the first event."""
        assert self.api.is_stem.wait(30), self.log
        self.api.stems.put(self.function_env)
        if not self.api.is_idle.wait(30):
            raise AssertionError(self.log)
        return (self.api.idle - self.api.specialised) * 1000

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.api.__exit__()

    def call(self, event=None, **options):
        """Invoke and wait for the report."""
        request_id = self.api.invoke(event, **options)
        report = self.api.report()
        assert report.request_id == request_id
        return report

    def exit_status(self, timeout=15):
        return self.process.wait(timeout)

    @property
    def log(self):
        return self.log_path.read_bytes().decode("utf-8")


def write_code(task, files):
    """The files of a function: name → text."""
    task.mkdir(parents=True)
    for name, text in files.items():
        path = task / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    os.chmod(task, 0o755)
    return task
