"""
The Python side of the Lambda Runtime API: import the handler, then for ever take an event,
call the handler, report its result.

Two costs decide the shape of this file.

Starting: CPython's own json, logging, socket and http.client take longer to import than the
interpreter takes to boot. So only what a successful invocation needs is here, on the C
modules _json and _socket; errors, logging and unusual values are in the other mayfly_*.py
and are imported when they first happen. bootstrap.py, which starts it all, is nearly empty
because Python caches the compiled form of modules, never of scripts.

Warm latency: one keep-alive connection, and the report of one invocation leaves in the same
segment as the request for the next event (HTTP pipelining). The platform answers both
together, so an invocation is one send and one receive here.

What the handler can see (errors, context, log formats, which modules it may shadow) follows
AWS's own runtime client.
"""
import os
import sys
import time
from _frozen_importlib_external import PathFinder
from importlib import import_module

import _json
import _socket

HERE = os.path.dirname(os.path.abspath(__file__))
STANDARD_LIBRARY = os.path.dirname(os.__file__)
RUNTIME = "/2018-06-01/runtime/"
ENVIRONMENT_FD = 3  # of a process that a zygote forked
RESTORED_ENVIRONMENT_FD = 6  # of one that was restored: what it had open has the numbers before
STEM_API = os.environ.get("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9001")  # there is no function yet
WRAPPED = "wrapped"  # the argument that tells a wrapper's child from the first start
CONNECT_MAX = 3  # connections in a row without one answer, before we give up
AWS_PATH = "/usr/local/bin:/usr/bin/:/bin:/opt/bin"  # PATH, unless the function has its own

# The first word of a framed log event; the level goes in from bit 2 on (1 TRACE … 6 FATAL).
FRAME_JSON, FRAME_TEXT = 0xA55A0002, 0xA55A0003
NO_LEVEL, ERROR_LEVEL = 0, 5
FRAME_MAX = 256 * 1024  # bytes of text in a frame; more goes on in the next

# AWS's client has imported these before the handler, so there a token.py or a logging.py
# beside the handler never replaces the standard one. We import them late, and pin them
# instead: their names always lead to the standard library (mayfly_* to this folder).
PINNED = frozenset(
    "atexit collections contextlib copyreg decimal _decimal _pydecimal enum functools "
    "importlib itertools json keyword linecache logging math numbers operator re reprlib "
    "string textwrap threading token tokenize traceback types warnings weakref "
    "mayfly_errors mayfly_json mayfly_logging mayfly_snapshot".split()
)


class Fault(Exception):
    """An error of the contract between platform and function, with AWS's name for it."""

    def __init__(self, kind, message, trace=None):
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.trace = trace


class Current:
    """The invocation being served, and how to log."""

    request_id = None
    tenant_id = None
    is_log_json = False
    frames_fd = None  # where framed log events go, if the platform takes them


class PinnedFinder:
    """Finds the pinned modules, and configures logging when it is first imported."""

    places = [STANDARD_LIBRARY, os.path.join(STANDARD_LIBRARY, "lib-dynload"), HERE]

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name not in PINNED:
            return None
        spec = PathFinder.find_spec(name, cls.places)
        if spec is not None and name == "logging":
            spec.loader = LoggingLoader(spec.loader)
        return spec


class LoggingLoader:
    """Stands in for the loader of `logging` until the module has run once."""

    def __init__(self, loader):
        self.loader = loader

    def create_module(self, spec):
        return self.loader.create_module(spec)

    def exec_module(self, module):
        module.__spec__.loader = module.__loader__ = self.loader
        self.loader.exec_module(module)
        import_module("mayfly_logging").configure(module, Current)


class RuntimeApi:
    """One connection to the Runtime API; reconnects when the platform closes it."""

    def __init__(self, address):
        self.address = address
        self.host, _, port = address.rpartition(":")
        self.port = int(port)
        self.socket = None
        self.rest = b""  # received, not yet part of an answer
        self.received = 0  # how often something was
        self.thanks = None  # the whole answer to the last report: the next one is mostly the same
        self.take = ("GET %sinvocation/next HTTP/1.1\r\nHost: %s\r\n\r\n" % (RUNTIME, address)).encode()

    def request(self, path, body, fields):
        """The bytes of a POST."""
        head = "POST %s%s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n%s\r\n" % (
            RUNTIME, path, self.address, len(body), fields)
        return head.encode("ascii") + body

    def next(self, report):
        """
        Send `report` (the bytes of a POST, or none) and wait for the next event: its header
        fields and its body. A report that was refused is over all the same: the platform has
        ended that invocation with an error of its own.
        """
        for _ in range(CONNECT_MAX):
            try:
                self.send(report + self.take)
                if report:
                    self.receive_thanks()
                status, fields, body = self.receive_answer()
            except OSError as lost:
                self.close()
                report = b""  # it may have arrived: never report twice
                reason = lost
                continue
            if status != 200:
                raise OSError("the Runtime API answered %d: %r" % (status, body[:200]))
            return fields, body
        raise reason

    def post(self, report):
        """Send one POST and wait until it is answered."""
        self.send(report)
        self.receive_answer()

    def send(self, data):
        if self.socket is None:
            self.socket = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
            self.socket.settimeout(None)  # whatever the function made the default
            self.socket.connect((self.host, self.port))
            self.socket.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
        self.socket.sendall(data)

    def close(self):
        if self.socket is not None:
            self.socket.close()
        self.socket = None
        self.rest = b""

    def receive(self, size_max=65536):
        data = self.socket.recv(size_max)
        if not data:
            raise ConnectionResetError("the Runtime API closed the connection")
        self.received += 1
        return data

    def receive_thanks(self):
        """The answer to a report, which says nothing that we need."""
        data = self.rest or self.receive()
        if self.thanks and data.startswith(self.thanks):
            self.rest = data[len(self.thanks):]
            return
        self.rest = data
        received = self.received
        self.receive_answer()
        self.thanks = data[:len(data) - len(self.rest)] if self.received == received else None

    def receive_answer(self):
        """The next answer on the connection: status, header fields by their names in Title-Case, body."""
        data = self.rest
        while True:
            end = data.find(b"\r\n\r\n")
            if end >= 0:
                break
            data += self.receive()
        lines = data[:end].split(b"\r\n")
        fields = read_fields(lines[1:])
        self.rest = data[end + 4:]
        if b"Transfer-Encoding" in fields:
            body = b"".join(iter(self.receive_chunk, b""))
        else:
            body = self.receive_exactly(int(fields.get(b"Content-Length", b"0")))
        return int(lines[0][9:12]), fields, body

    def receive_exactly(self, size):
        data = self.rest
        if len(data) < size:
            parts = [data]
            missing = size - len(data)
            while missing > 0:
                parts.append(self.receive(max(missing, 65536)))
                missing -= len(parts[-1])
            data = b"".join(parts)
        self.rest = data[size:]
        return data[:size]

    def receive_line(self):
        while b"\r\n" not in self.rest:
            self.rest += self.receive()
        line, _, self.rest = self.rest.partition(b"\r\n")
        return line

    def receive_chunk(self):
        """One chunk of a chunked body; empty at its end, with the trailers read."""
        size = int(self.receive_line().partition(b";")[0], 16)
        if size == 0:
            while self.receive_line():
                pass
            return b""
        return self.receive_exactly(size + 2)[:-2]


class Surroundings:
    """What the environment says at the moment, decoded only when it says something new."""

    names = (b"AWS_LAMBDA_LOG_GROUP_NAME", b"AWS_LAMBDA_LOG_STREAM_NAME", b"AWS_LAMBDA_FUNCTION_NAME",
             b"AWS_LAMBDA_FUNCTION_MEMORY_SIZE", b"AWS_LAMBDA_FUNCTION_VERSION")
    raw = decoded = None

    @classmethod
    def texts(cls):
        raw = list(map(os.environb.get, cls.names))
        if raw != cls.raw:
            cls.raw = raw
            cls.decoded = [None if value is None else os.fsdecode(value) for value in raw]
        return cls.decoded


def read_fields(lines):
    """{name in Title-Case: value} of the lines of a head."""
    try:  # as our platform writes them
        fields = dict([line.split(b": ", 1) for line in lines])
        if b"Content-Length" in fields:
            return fields
    except ValueError:
        pass
    parts = [line.partition(b":") for line in lines]
    return {name.title(): value.strip() for name, _, value in parts}


class LambdaContext:
    """What a handler gets as its second argument."""

    def __init__(self, request_id, arn, deadline_ms, tenant_id, client_context, identity):
        self.aws_request_id = request_id
        (self.log_group_name, self.log_stream_name, self.function_name, self.memory_limit_in_mb,
         self.function_version) = Surroundings.texts()
        self.invoked_function_arn = arn
        self.tenant_id = tenant_id
        self._trace_fields = pop_trace_fields(client_context)
        self.client_context = None
        if client_context is not None:
            self.client_context = ClientContext(client_context)
            if self.client_context.client is not None:
                self.client_context.client = Client(self.client_context.client)
        self.identity = CognitoIdentity({
            "cognito_identity_id": identity.get("cognitoIdentityId"),
            "cognito_identity_pool_id": identity.get("cognitoIdentityPoolId"),
        } if identity else NOTHING)
        self._deadline_ms = deadline_ms

    def get_remaining_time_in_millis(self):
        return max(0, self._deadline_ms - int(time.time() * 1000))

    def w3c(self):
        """The W3C trace context of the invocation: traceparent, tracestate, baggage."""
        return dict(self._trace_fields)

    def log(self, message):
        """Write to the function's log, as one event."""
        write_log(str(message))

    def __repr__(self):
        names = ("aws_request_id log_group_name log_stream_name function_name memory_limit_in_mb "
                 "function_version invoked_function_arn client_context identity tenant_id")
        return describe(self, names.split())


NOTHING = {}


class Record:
    """A part of the context: the attributes in __slots__, None where it says nothing."""

    __slots__ = ()

    def __init__(self, values):
        for name in self.__slots__:
            setattr(self, name, values.get(name))

    def __repr__(self):
        return describe(self, self.__slots__)


class CognitoIdentity(Record):
    __slots__ = ("cognito_identity_id", "cognito_identity_pool_id")


class Client(Record):
    __slots__ = ("installation_id", "app_title", "app_version_name", "app_version_code",
                 "app_package_name")


class ClientContext(Record):
    __slots__ = ("custom", "env", "client")


def describe(thing, names):
    values = ",".join("%s=%s" % (name, getattr(thing, name)) for name in names)
    return "%s([%s])" % (type(thing).__name__, values)


def pop_trace_fields(client_context):
    """Take the W3C fields out of the client context, where the platform put them."""
    fields = client_context.pop("w3c", None) if isinstance(client_context, dict) else None
    if not isinstance(fields, dict):
        return {}
    known = ("traceparent", "tracestate", "baggage")
    return {name: fields[name] for name in known if isinstance(fields.get(name), str)}


def write_log(text, level=NO_LEVEL, is_json=False):
    """
    `text` as one event of the function's log. sys.stdout may be the function's own by now.
    Without frames the platform cuts at line breaks: then it is as many events as lines.
    """
    data = text.encode("utf-8", "backslashreplace")
    if Current.frames_fd is None:
        return write_all(1, data if data.endswith(b"\n") else data + b"\n")
    kind = (FRAME_JSON if is_json else FRAME_TEXT) | level << 2
    now = (time.time_ns() // 1000).to_bytes(8, "big")
    for start in range(0, len(data), FRAME_MAX):
        piece = data[start:start + FRAME_MAX]
        write_all(Current.frames_fd, kind.to_bytes(4, "big") + len(piece).to_bytes(4, "big") + now + piece)


def write_all(fd, data):
    while data:
        data = data[os.write(fd, data):]


class Json:
    """
    JSON as AWS's client reads and writes it. The C scanner and encoder of the standard
    library do the plain cases without its json package (its import costs half an
    interpreter start); whatever they stumble over goes through mayfly_json.
    """

    # What the C scanner wants to know.
    strict = True
    object_hook = object_pairs_hook = None
    parse_float = float
    parse_int = int
    leaves = frozenset((str, int, float, bool, type(None)))

    def __init__(self, runtime):
        # AWS: from Python 3.12 on, responses are UTF-8 instead of \u escapes.
        name, _, version = runtime.rpartition("python3.")
        self.is_ascii = not (version.isdigit() and int(version) >= 12)
        self.quote = _json.encode_basestring_ascii if self.is_ascii else _json.encode_basestring
        self.scan = _json.make_scanner(self)

    def parse_constant(self, name):
        raise ValueError(name)  # NaN and Infinity are no JSON: mayfly_json words it

    def loads(self, data):
        try:
            text = data.decode("utf-8").strip(" \t\n\r")
            value, end = self.scan(text, 0)
            if end == len(text):
                return value
        except Exception:  # StopIteration, SystemError…: the next line finds the reason
            pass
        return import_module("mayfly_json").loads(data)

    def dumps(self, value):
        """The JSON of a value as bytes; raises what AWS's encoder would."""
        try:
            encode = _json.make_encoder({}, self.refuse, self.quote, None, ": ", ", ", False, False, True)
            text = "".join(encode(value, 0))
            if not self.has_records(value):
                return text.encode("utf-8")
        except TypeError:
            pass
        return import_module("mayfly_json").dumps(value, self.quote).encode("utf-8")

    @staticmethod
    def refuse(value):
        raise TypeError

    def has_records(self, value):
        """Is a named tuple in it? The C encoder writes them as arrays, AWS as objects."""
        if type(value) in self.leaves:
            return False
        todo = [value]
        for item in todo:
            kind = type(item)
            if kind in self.leaves:
                continue
            if isinstance(item, dict):
                todo += item.values()
            elif isinstance(item, (list, tuple)):
                if kind is not tuple and kind is not list and hasattr(item, "_asdict"):
                    return True
                todo += item
        return False


def load_handler(name):
    """The function that a handler name like `pkg/mod.func` means."""
    module_name, dot, function_name = name.rpartition(".")
    if not dot:
        raise Fault("Runtime.MalformedHandlerName",
                    "Bad handler '%s': not enough values to unpack (expected 2, got 1)" % name)
    if module_name.split(".")[0] in sys.builtin_module_names:
        raise Fault("Runtime.BuiltInModuleConflict",
                    "Cannot use built-in module %s as a handler module" % module_name)
    try:
        module = import_module(module_name.replace("/", "."))
    except ImportError as e:
        raise Fault("Runtime.ImportModuleError",
                    "Unable to import module '%s': %s" % (module_name, e)) from e
    except SyntaxError as e:
        raise Fault("Runtime.UserCodeSyntaxError", "Syntax error in module '%s': %s" % (module_name, e),
                    ['  File "%s" Line %s\n    %s' % (e.filename, e.lineno, e.text)]) from e
    try:
        return getattr(module, function_name)
    except AttributeError as e:
        raise Fault("Runtime.HandlerNotFound",
                    "Handler '%s' missing on module '%s'" % (function_name, module_name)) from e


def header(fields, name):
    value = fields.get(name)
    return None if value is None else value.decode("utf-8", "replace")


def make_context(json, fields):
    def parsed(name, what):
        value = header(fields, name)
        if not value:
            return None
        try:
            return json.loads(value.encode("utf-8"))
        except Exception as e:
            raise Fault("Runtime.LambdaContextUnmarshalError",
                        "Unable to parse %s JSON: %s" % (what, e)) from e

    return LambdaContext(
        header(fields, b"Lambda-Runtime-Aws-Request-Id"),
        header(fields, b"Lambda-Runtime-Invoked-Function-Arn"),
        int(fields.get(b"Lambda-Runtime-Deadline-Ms", b"0")),
        header(fields, b"Lambda-Runtime-Aws-Tenant-Id"),
        parsed(b"Lambda-Runtime-Client-Context", "Client Context"),
        parsed(b"Lambda-Runtime-Cognito-Identity", "Cognito Identity"))


def make_event(json, fields, body):
    if fields.get(b"Content-Type", b"application/json") != b"application/json":
        return body
    try:
        return json.loads(body)
    except Exception as e:
        raise Fault("Runtime.UnmarshalError", "Unable to unmarshal input: %s" % e) from e


def make_response(json, value):
    if isinstance(value, bytes):
        return value, "application/unknown"
    try:
        return json.dumps(value), "application/json"
    except Exception as e:
        raise Fault("Runtime.MarshalError", "Unable to marshal response: %s" % e) from e


def serve(api, json, handler):
    """Invocations, for ever. SystemExit and its like end the process, as on AWS."""
    report = b""
    while True:
        fields, body = api.next(report)
        request_id = header(fields, b"Lambda-Runtime-Aws-Request-Id")
        Current.request_id = request_id
        Current.tenant_id = header(fields, b"Lambda-Runtime-Aws-Tenant-Id")
        if b"Lambda-Runtime-Trace-Id" in fields:
            os.environb[b"_X_AMZN_TRACE_ID"] = fields[b"Lambda-Runtime-Trace-Id"]
        else:
            os.environb.pop(b"_X_AMZN_TRACE_ID", None)
        try:
            context = make_context(json, fields)
            response, kind = make_response(json, handler(make_event(json, fields, body), context))
            report = api.request("invocation/%s/response" % request_id, response,
                                 "Content-Type: %s\r\n" % kind)
        except Exception as e:
            report = import_module("mayfly_errors").invocation_report(api, json, e, request_id)
        fields = body = context = response = None  # nothing of it outlives the invocation
        flush()


def flush():
    """What the function has printed is in the log before its result is out."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:  # replaced or closed by the function
            pass


def set_path():
    """sys.path as AWS has it: the function, its layers, this folder, the standard library."""
    own = "python%d.%d" % sys.version_info[:2]
    wanted = os.environ.get("AWS_EXECUTION_ENV", "").rpartition("AWS_Lambda_")[2]
    first = [os.environ["LAMBDA_TASK_ROOT"]]
    # A layer is made for the runtime that the function names, which may not be what runs it.
    for name in dict.fromkeys((wanted or own, own)):
        first.append("/opt/python/lib/%s/site-packages" % name)
    first.append("/opt/python")
    sys.path[:] = first + [place for place in dict.fromkeys(sys.path) if place not in first]
    sys.meta_path.insert(0, PinnedFinder)


def set_environment():
    """What only the runtime knows, or has to keep from the function."""
    env = os.environ
    if env.get("PATH") == AWS_PATH:
        env["PATH"] = os.path.dirname(sys.executable) + ":" + AWS_PATH
    fd = env.pop("_LAMBDA_TELEMETRY_LOG_FD", "")
    Current.frames_fd = int(fd) if fd.isdigit() else None
    Current.is_log_json = env.get("AWS_LAMBDA_LOG_FORMAT", "").upper() == "JSON"


def enter_wrapper():
    """AWS_LAMBDA_EXEC_WRAPPER: a program that is given our command line, to start it its way."""
    wrapper = os.environ.get("AWS_LAMBDA_EXEC_WRAPPER")
    if sys.argv[1:] == [WRAPPED]:
        del sys.argv[1:]
    elif wrapper:
        os.execv(wrapper, [wrapper, sys.executable, "-s", "-u", os.path.abspath(sys.argv[0]), WRAPPED])


def rehearse():
    """
    Do once what a start and a first invocation do, with a function of ours, so that the interpreter
    has imported, specialised, allocated and touched whatever that takes. It leaves nothing behind.
    """
    fields = {b"Lambda-Runtime-Aws-Request-Id": b"00000000-0000-0000-0000-000000000000",
              b"Lambda-Runtime-Invoked-Function-Arn": b"arn:aws:lambda:us-east-1:000000000000:function:f",
              b"Lambda-Runtime-Deadline-Ms": b"1",
              b"Content-Type": b"application/json"}
    body = b'{"names": ["a", "b"], "numbers": [1, 2.5, null, true], "text": "\\u00e9"}'
    kept = list(sys.path), list(sys.meta_path), dict(os.environ)
    replace_environment(b"LAMBDA_TASK_ROOT=%s/rehearsal\0_HANDLER=mayfly_rehearsal.handler\0" % os.fsencode(HERE))
    api, json = RuntimeApi(STEM_API), Json("AWS_Lambda_python3.12")
    set_path()
    handler = load_handler("mayfly_rehearsal.handler")
    for _ in range(8):  # from the eighth call on, the interpreter specialises
        context = make_context(json, fields)
        response, kind = make_response(json, handler(make_event(json, fields, body), context))
        api.request("invocation/%s/response" % context.aws_request_id, response, "Content-Type: %s\r\n" % kind)
    sys.path[:], sys.meta_path[:] = kept[:2]
    os.environ.clear()
    os.environ.update(kept[2])
    del sys.modules["mayfly_rehearsal"]
    sys.path_importer_cache.clear()


def be_zygote():
    """
    Everything is loaded: from here on, each fork() waits until the platform wants a runtime, and
    returns 0 in a process that is in its sandbox already (src/zygote/preload.c). What is ours goes
    on waiting; what is new gets its environment and starts as usual.
    """
    rehearse()
    gc = import_module("gc")
    gc.collect()
    gc.freeze()  # the collector writes into objects it looks at: these pages stay shared
    while os.fork() != 0:
        pass
    take_environment()


def take_environment(fd=ENVIRONMENT_FD):
    """The environment variables that a process was born with which another one had begun."""
    with open(fd, "rb") as block:
        replace_environment(block.read())


def replace_environment(block):
    """What a process has that did not start as this function's: `block` is NAME=value, NUL after each."""
    os.environ.clear()
    for line in os.fsdecode(block).split("\0"):
        if line:
            name, _, value = line.partition("=")
            os.environ[name] = value
    time.tzset()


def be_stem():
    """Wait for a function, on the connection that then serves it; its code is mounted meanwhile."""
    rehearse()
    api = RuntimeApi(STEM_API)
    api.send(("GET %smayfly/stem HTTP/1.1\r\nHost: %s\r\n\r\n" % (RUNTIME, STEM_API)).encode())
    status, _, block = api.receive_answer()
    if status != 200:
        sys.exit(1)
    replace_environment(block)
    os.chdir(os.environ["LAMBDA_TASK_ROOT"])  # where we are is below the mount
    return api


def snapshot(api, is_forked):
    """A version with SnapStart has initialised: save the process. Returns where it is restored."""
    module = import_module("mayfly_snapshot")
    module.run_before()
    api.close()
    flush()
    trouble = module.save(is_forked)
    if trouble is not None:
        api.post(api.request("mayfly/snapshot", trouble.encode(), ""))
        os._exit(0)
    take_environment(RESTORED_ENVIRONMENT_FD)
    set_environment()
    module.run_after()


def main():
    is_forked = "MAYFLY_ZYGOTE" in os.environ
    if is_forked:
        be_zygote()
    api = be_stem() if "MAYFLY_STEM" in os.environ else None
    enter_wrapper()
    set_environment()
    api = api or RuntimeApi(os.environ["AWS_LAMBDA_RUNTIME_API"])
    json = Json(os.environ.get("AWS_EXECUTION_ENV", ""))
    set_path()
    is_to_save = os.environ.pop("MAYFLY_SNAPSHOT", None)
    try:
        handler = load_handler(os.environ["_HANDLER"])
        if is_to_save:
            snapshot(api, is_forked)
    except Exception as e:
        import_module("mayfly_errors").report_init(api, json, e)
        sys.exit(1)
    serve(api, json, handler)
