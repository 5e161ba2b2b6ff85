"""
The root logger as a function finds it on AWS: one handler that writes to the function's log,
in the text or the JSON format, at the level that the function's logging configuration names.
Runs once, when the function (or what it uses) first imports logging.
"""
import os
import time

from mayfly_runtime import write_log

DATE_FORMAT = "%Y-%m-%dT%H:%M:%S"
TEXT_FORMAT = "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s\n"

# Attributes of a record that are not the function's own `extra` fields.
RESERVED = frozenset(
    "name msg args levelname levelno pathname filename module exc_info exc_text stack_info "
    "lineno funcName created msecs relativeCreated thread threadName processName process "
    "aws_request_id tenant_id".split()
)


def configure(logging, current):
    logging.Formatter.converter = time.gmtime
    if current.is_log_json:
        formatter = json_formatter(logging)
    else:
        formatter = logging.Formatter(TEXT_FORMAT, DATE_FORMAT)
    root = logging.getLogger()
    root.addHandler(log_handler(logging, current, formatter))
    level = os.environ.get("AWS_LAMBDA_LOG_LEVEL", "").upper()
    level = "DEBUG" if level == "TRACE" else level
    if isinstance(logging.getLevelName(level), int):
        root.setLevel(level)


def log_handler(logging, current, formatter):
    class LambdaLoggerHandler(logging.Handler):
        def emit(self, record):
            record.aws_request_id = current.request_id or ""
            record.tenant_id = current.tenant_id
            try:
                # DEBUG 10 → 2, INFO 20 → 3, … CRITICAL 50 → 6
                level = min(50, record.levelno) // 10 + 1 if record.levelno >= 10 else 0
                write_log(self.format(record), level, current.is_log_json)
            except Exception:
                self.handleError(record)

    handler = LambdaLoggerHandler()
    handler.setFormatter(formatter)
    return handler


def json_formatter(logging):
    import json
    import traceback

    # A value that is no JSON is written as its str(): a log record is never lost for it.
    encode = json.JSONEncoder(ensure_ascii=False, default=str).encode

    class JsonFormatter(logging.Formatter):
        def format(self, record):
            level = min(50, max(0, record.levelno)) // 10 * 10
            is_object = isinstance(record.msg, dict) and not record.args
            error = record.exc_info or None
            fields = {
                "timestamp": self.formatTime(record, DATE_FORMAT + "Z"),
                "level": logging.getLevelName(level),
                "message": record.msg if is_object else record.getMessage(),
                "logger": record.name,
                "stackTrace": error and traceback.format_tb(error[2]),
                "errorType": error and error[0] and error[0].__name__,
                "errorMessage": error and str(error[1]),
                "requestId": record.aws_request_id,
                "location": error and "%s:%s:%d" % (record.pathname, record.funcName, record.lineno),
                "tenantId": record.tenant_id,
            }
            own = {k: v for k, v in vars(record).items() if k not in RESERVED and k not in fields}
            return encode({k: v for k, v in {**fields, **own}.items() if v is not None}) + "\n"

    return JsonFormatter()
