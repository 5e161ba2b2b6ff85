"""
What becomes of an exception: the error object that the caller gets, the line in the log,
and the cause for X-Ray. Their shapes are those of AWS's runtime client.
"""
import os
import time
import traceback

from mayfly_runtime import ERROR_LEVEL, HERE, Current, Fault, Json, flush, write_log

OURS = {os.path.join(HERE, name) for name in ("bootstrap.py", "mayfly_runtime.py")}
ASCII = Json("")  # writes \\u escapes: for header fields, and for text that is no valid Unicode
CAUSE_MAX = 32 * 1024  # bytes of the X-Ray cause: it travels in a header, which the platform bounds
NO_BREAK_SPACE = "\u00a0"  # log viewers trim plain spaces at the start of a line


def invocation_report(api, json, error, request_id):
    """Log the error of an invocation; the bytes of the POST that reports it."""
    result, cause = describe(error, request_id)
    log(json, result)
    path = "invocation/%s/error" % request_id
    return api.request(path, encode(json, result), fields_of(result, ASCII.dumps(cause)))


def report_init(api, json, error):
    """Log an error of the init phase and tell the platform."""
    flush()
    result, _ = describe(error, "")
    log(json, result)
    api.post(api.request("init/error", encode(json, result), fields_of(result, b"")))


def describe(error, request_id):
    """The error object and the X-Ray cause of an exception."""
    if isinstance(error, Fault):
        kind, message, frames = error.kind, error.message, []
        cause_kind, stack = "LambdaValidationError", error.trace or []
    else:
        kind, message, frames = type(error).__name__, message_of(error), frames_of(error)
        cause_kind, stack = kind, traceback.format_list(frames)
    result = {
        "errorMessage": message,
        "errorType": kind,
        "requestId": request_id,
        "stackTrace": stack,
    }
    cause = {
        "working_directory": working_directory(),
        "exceptions": [{
            "message": message,
            "type": cause_kind,
            "stack": [{"label": name, "path": path, "line": line} for path, line, name, _ in frames],
        }],
        "paths": sorted({frame[0] for frame in frames}),
    }
    return result, cause


def working_directory():
    try:
        return os.getcwd()
    except OSError:  # the function has removed it
        return ""


def message_of(error):
    try:
        return str(error)
    except Exception:  # the function's own __str__ may fail
        return "<exception str() failed>"


def frames_of(error):
    """The traceback from the function's first frame on: ours above it say nothing to its author."""
    frames = [(f.filename, f.lineno, f.name, f.line) for f in traceback.extract_tb(error.__traceback__)]
    for first, frame in enumerate(frames):
        if frame[0] not in OURS:
            return frames[first:]
    return frames


def encode(json, value):
    try:
        return json.dumps(value)
    except UnicodeEncodeError:  # half a surrogate pair in a message: escape it
        return ASCII.dumps(value)


def fields_of(result, cause):
    """The header fields of an error report: ASCII, and no line break can leave its field."""
    kind = result["errorType"].encode("ascii", "backslashreplace").decode("ascii")
    fields = "Content-Type: application/json\r\nLambda-Runtime-Function-Error-Type: %s\r\n" % (
        "".join(c if c.isprintable() else "?" for c in kind))
    if cause and len(cause) <= CAUSE_MAX:
        fields += "Lambda-Runtime-Function-XRay-Error-Cause: %s\r\n" % cause.decode("ascii")
    return fields


def log(json, result):
    if Current.is_log_json:
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        text = encode(json, {"timestamp": now, "level": "ERROR", **result}).decode("utf-8")
    else:
        message = result["errorMessage"]
        lines = [
            "[ERROR] %s%s" % (result["errorType"], ": " + message if message else ""),
            "Traceback (most recent call last):",
        ]
        for entry in result["stackTrace"]:
            lines += [indented(line) for line in entry.splitlines()] or [""]
        text = "\n".join(lines)
    write_log(text, ERROR_LEVEL, Current.is_log_json)


def indented(line):
    text = line.lstrip(" ")
    return NO_BREAK_SPACE * (len(line) - len(text)) + text
