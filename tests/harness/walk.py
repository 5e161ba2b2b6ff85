"""Hold raw responses against botocore's own model of the service.

botocore parses leniently: keys that it does not know vanish, missing ones are forgiven, a number where a
string belongs is passed on. Here the bytes themselves are walked: an unknown key, a missing required
member, a wrong type, a value outside of an enum, a wrong status, a null are all violations.
"""

import base64
import binascii
import datetime
import json
import re
import xml.etree.ElementTree as ElementTree

from botocore.eventstream import EventStreamBuffer

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z")

# Errors that the services answer although their models do not name them.
UNMODELLED_ERRORS = {
    "AccessDeniedException": 403,
    "InternalFailure": 500,
    "InvalidClientTokenId": 403,
    "MissingAuthenticationToken": 403,
    "RequestEntityTooLargeException": 413,
    "SerializationException": 400,
    "UnknownOperationException": None,
    "UnsupportedOperation": None,
    "NotImplementedException": 501,
    "ValidationError": 400,
    "ValidationException": 400,
    "InvalidAction": 400,
}


# What AWS has been seen to answer although its models do not list it.
SEEN_ENUMS = {"LastUpdateStatusReasonCode": {"Creating"}}
# Empty where there is nothing to tell, although the model says that members are required.
SEEN_EMPTY = {"GetFunctionCodeSigningConfig"}


class Walk:
    """One response. `problems` is what is wrong with it, in words."""

    def __init__(self, operation, status, headers, body):
        self.operation = operation
        self.service = operation.service_model
        self.status = status
        self.headers = {name.lower(): value for name, value in headers.items()}
        self.body = body
        self.problems = []
        protocol = self.service.resolved_protocol
        # Of several protocols the one of the request; the answer shows it.
        has_query = "query" in self.service.metadata.get("protocols", [])
        self.is_xml = protocol in ("query", "rest-xml", "ec2") or (has_query and "xml" in self.headers.get("content-type", ""))
        self.is_rest = protocol.startswith("rest-")
        if protocol not in ("rest-json", "json", "query"):
            raise NotImplementedError(f"no walk for protocol {protocol}")

    def run(self):
        self._common_headers()
        if self.status >= 300:
            self._error()
        elif self.is_xml:
            self._query_output()
        else:
            self._json_output()
        where = f"{self.service.service_name}.{self.operation.name} {self.status}"
        return [f"{where}: {problem}" for problem in self.problems]

    def _say(self, path, what):
        self.problems.append(f"{path or 'body'}: {what}")

    # What every answer of AWS carries

    def _common_headers(self):
        request_id = self.headers.get("x-amzn-requestid")
        if request_id is None:
            self._say("header x-amzn-RequestId", "missing")
        elif not UUID.match(request_id):
            self._say("header x-amzn-RequestId", f"not a UUID: {request_id!r}")
        if self.status == 204 and self.body:
            self._say("body", "a 204 has none")

    # Success

    def _json_output(self):
        shape = self.operation.output_shape
        expected = self.operation.http.get("responseCode", 200)
        has_status_member = shape is not None and any(
            member.serialization.get("location") == "statusCode" for member in shape.members.values()
        )
        if self.status != expected and not has_status_member:
            self._say("status", f"{self.status}, the model says {expected}")
        if shape is None:
            if self.is_rest and self.body:
                self._say("body", f"not empty: {self.body[:80]!r}")
            return

        in_body = {}
        for name, member in shape.members.items():
            location = member.serialization.get("location") if self.is_rest else None
            if location in ("header", "headers", "statusCode"):
                self._header_member(shape, name, member, location)
            elif shape.serialization.get("payload") == name and self.is_rest:
                self._payload_member(member)
                return
            else:
                in_body[member.serialization.get("name", name)] = (name, member)
        if self.status == 204:
            return
        if not in_body and not self.body:
            return
        self._content_type("json")
        tree = self._json()
        if tree is not None and (tree or self.operation.name not in SEEN_EMPTY):
            self._structure(shape, tree, "", in_body)

    def _payload_member(self, member):
        if member.serialization.get("eventstream"):
            if self.status == 200:
                self._content_type("vnd.amazon.eventstream")
                self._events(member)
            return
        if member.type_name in ("structure", "list", "map"):
            self._content_type("json")
            tree = self._json()
            if tree is not None:
                self._value(member, tree, "")

    def _events(self, member):
        """Whole streams only: a client that takes them as they come hands no body over."""
        events = EventStreamBuffer()
        events.add_data(self.body)
        for event in events:
            name = event.headers.get(":event-type")
            if event.headers.get(":message-type") != "event" or name not in member.members:
                self._say("event", f"of no kind that the model knows: {event.headers}")
                continue
            shape = member.members[name]
            if any(one.serialization.get("eventpayload") for one in shape.members.values()):
                continue
            try:
                tree = json.loads(event.payload, object_pairs_hook=self._no_doubles)
            except ValueError as error:
                self._say(name, f"not JSON ({error})")
                continue
            self._structure(shape, tree, name)

    def _header_member(self, shape, name, member, location):
        if location == "statusCode":
            return
        header = member.serialization.get("name", name).lower()
        value = self.headers.get(header)
        if value is None:
            if name in shape.required_members:
                self._say(f"header {header}", "required, missing")
        elif member.type_name in ("integer", "long") and not re.fullmatch(r"-?\d+", value):
            self._say(f"header {header}", f"not a number: {value!r}")
        elif getattr(member, "enum", None) and value not in member.enum:
            self._say(f"header {header}", f"{value!r} is none of {member.enum}")

    def _content_type(self, word):
        content_type = self.headers.get("content-type", "")
        if word not in content_type:
            self._say("header content-type", f"{content_type!r} has no {word!r}")

    def _json(self):
        try:
            return json.loads(self.body, object_pairs_hook=self._no_doubles)
        except ValueError as error:
            self._say("body", f"not JSON ({error}): {self.body[:200]!r}")
            return None

    def _no_doubles(self, pairs):
        tree = dict(pairs)
        if len(tree) != len(pairs):
            self._say("body", f"a key twice: {[key for key, _ in pairs]}")
        return tree

    def _structure(self, shape, tree, path, members=None):
        if not isinstance(tree, dict):
            self._say(path, f"not an object: {tree!r}")
            return
        if members is None:
            members = {m.serialization.get("name", n): (n, m) for n, m in shape.members.items()}
        for key, value in tree.items():
            if key not in members:
                self._say(f"{path}.{key}", "the model does not know it")
            else:
                self._value(members[key][1], value, f"{path}.{key}")
        for key, (name, _) in members.items():
            if name in shape.required_members and key not in tree:
                self._say(f"{path}.{key}", "required, missing")
        if getattr(shape, "is_tagged_union", False) and len(tree) != 1:
            self._say(path, f"a union with {len(tree)} members")

    def _value(self, shape, value, path):
        if getattr(shape, "is_document_type", False):
            return
        if value is None:
            self._say(path, "null")
            return
        kind = shape.type_name
        if kind == "structure":
            self._structure(shape, value, path)
        elif kind == "list":
            if not isinstance(value, list):
                self._say(path, f"not a list: {value!r}")
                return
            for i, item in enumerate(value):
                self._value(shape.member, item, f"{path}[{i}]")
        elif kind == "map":
            if not isinstance(value, dict):
                self._say(path, f"not a map: {value!r}")
                return
            for key, item in value.items():
                self._scalar(shape.key, key, f"{path} key")
                self._value(shape.value, item, f"{path}[{key!r}]")
        else:
            self._scalar(shape, value, path)

    def _scalar(self, shape, value, path):
        kind = shape.type_name
        if kind in ("string", "character"):
            if not isinstance(value, str):
                self._say(path, f"not a string: {value!r}")
            elif shape.enum and value not in shape.enum and value not in SEEN_ENUMS.get(shape.name, ()):
                self._say(path, f"{value!r} is none of {', '.join(shape.enum)[:200]}")
        elif kind in ("integer", "long", "short", "byte", "bigInteger"):
            if not isinstance(value, int) or isinstance(value, bool):
                self._say(path, f"not an integer: {value!r}")
        elif kind in ("float", "double", "bigDecimal"):
            if not isinstance(value, (int, float)) or isinstance(value, bool):
                self._say(path, f"not a number: {value!r}")
        elif kind == "boolean":
            if not isinstance(value, bool):
                self._say(path, f"not a boolean: {value!r}")
        elif kind == "blob":
            self._blob(value, path)
        elif kind == "timestamp":
            self._timestamp(shape, value, path)
        else:
            self._say(path, f"no check for type {kind}")

    def _blob(self, value, path):
        try:
            base64.b64decode(value, validate=True)
        except (TypeError, ValueError, binascii.Error):
            self._say(path, f"not base64: {str(value)[:80]!r}")

    def _timestamp(self, shape, value, path):
        style = shape.serialization.get("timestampFormat")
        if style == "iso8601" or (self.is_xml and not style):
            try:
                datetime.datetime.strptime(str(value), "%Y-%m-%dT%H:%M:%S" + (".%fZ" if "." in str(value) else "Z"))
            except ValueError:
                self._say(path, f"not an ISO 8601 time: {value!r}")
        elif not isinstance(value, (int, float)) or isinstance(value, bool):
            self._say(path, f"not seconds since the epoch: {value!r}")

    # Errors

    def _error(self):
        if self.is_xml:
            self._query_error()
            return
        self._content_type("json")
        tree = self._json()
        if not isinstance(tree, dict):
            self._say("body", "an error is an object")
            return
        header = self.headers.get("x-amzn-errortype", "").split(":")[0]
        code = header or str(tree.get("__type", "")).rpartition("#")[2]
        if self.is_rest and not header:
            self._say("header x-amzn-ErrorType", "missing")
        if not self.is_rest and "__type" not in tree:
            self._say(".__type", "missing")
        self._error_code(code)
        known = {"__type"} if not self.is_rest else set()
        shape = self.service.shape_for_error_code(code)
        if shape is None:
            known |= {"message", "Message", "Type"}
        else:
            members = {m.serialization.get("name", n): m for n, m in shape.members.items()}
            for key, member in members.items():
                if key in tree:
                    self._value(member, tree[key], f".{key}")
                elif key.lower() == "message":
                    self._say(f".{key}", "missing: SDKs read the error's message here")
            known |= set(members) | {"Type", "message"}
        for key in set(tree) - known:
            self._say(f".{key}", "the model does not know it")

    def _error_code(self, code):
        shape = self.service.shape_for_error_code(code)
        if shape is None and "awsQueryCompatible" in self.service.metadata:  # JSON has the name, not the code
            shape = next((one for one in self.service.error_shapes if one.name == code), None)
        if shape is not None:
            error = shape.metadata.get("error", {})
            expected = error.get("httpStatusCode")
            if expected and expected != self.status:
                self._say("status", f"{self.status}, the model says {expected} for {code}")
        elif code in UNMODELLED_ERRORS:
            expected = UNMODELLED_ERRORS[code]
            if expected and expected != self.status:
                self._say("status", f"{self.status}, AWS says {expected} for {code}")
        else:
            self._say("error", f"{code!r} is no error of this service")

    # The query protocol

    def _xml(self):
        try:
            return ElementTree.fromstring(self.body)
        except ElementTree.ParseError as error:
            self._say("body", f"not XML ({error}): {self.body[:200]!r}")
            return None

    def _tag(self, element):
        return element.tag.rpartition("}")[2]

    def _query_output(self):
        self._content_type("xml")
        root = self._xml()
        if root is None:
            return
        if self._tag(root) != f"{self.operation.name}Response":
            self._say("root", f"{self._tag(root)!r}")
        namespace = self.service.metadata.get("xmlNamespace")
        if namespace and not root.tag.startswith("{" + namespace + "}"):
            self._say("root", f"namespace of {root.tag!r} is not {namespace!r}")
        allowed = {"ResponseMetadata"}
        result = self.operation.output_shape and self.operation.output_shape.serialization.get("resultWrapper")
        if result:
            allowed.add(result)
        seen = {self._tag(child): child for child in root}
        for name in set(seen) - allowed:
            self._say(name, "does not belong here")
        if "ResponseMetadata" not in seen or seen["ResponseMetadata"].find("{*}RequestId") is None:
            self._say("ResponseMetadata.RequestId", "missing")
        if result:
            if result not in seen:
                self._say(result, "missing")
            else:
                self._xml_structure(self.operation.output_shape, seen[result], "")

    def _xml_structure(self, shape, element, path):
        members = {m.serialization.get("name", n): (n, m) for n, m in shape.members.items()}
        seen = set()
        for child in element:
            tag = self._tag(child)
            if tag not in members:
                self._say(f"{path}.{tag}", "the model does not know it")
                continue
            if tag in seen:
                self._say(f"{path}.{tag}", "twice")
            seen.add(tag)
            self._xml_value(members[tag][1], child, f"{path}.{tag}")
        for key, (name, _) in members.items():
            if name in shape.required_members and key not in seen:
                self._say(f"{path}.{key}", "required, missing")

    def _xml_value(self, shape, element, path):
        kind = shape.type_name
        if kind == "structure":
            self._xml_structure(shape, element, path)
        elif kind == "list":
            item_tag = shape.member.serialization.get("name", "member")
            for i, item in enumerate(element):
                if self._tag(item) != item_tag:
                    self._say(path, f"list item is <{self._tag(item)}>, not <{item_tag}>")
                self._xml_value(shape.member, item, f"{path}[{i}]")
        elif kind == "map":
            for entry in element:
                if self._tag(entry) != "entry":
                    self._say(path, f"map entry is <{self._tag(entry)}>")
        elif kind in ("integer", "long"):
            if not re.fullmatch(r"-?\d+", element.text or ""):
                self._say(path, f"not an integer: {element.text!r}")
        elif kind in ("float", "double"):
            if not re.fullmatch(r"-?\d+(\.\d+)?([eE][-+]?\d+)?", element.text or ""):
                self._say(path, f"not a number: {element.text!r}")
        elif kind == "boolean":
            if element.text not in ("true", "false"):
                self._say(path, f"not a boolean: {element.text!r}")
        elif len(element):
            self._say(path, f"elements inside of a {kind}")
        else:
            self._scalar(shape, element.text or "", path)

    def _query_error(self):
        self._content_type("xml")
        root = self._xml()
        if root is None:
            return
        if self._tag(root) != "ErrorResponse":
            self._say("root", f"{self._tag(root)!r}, not ErrorResponse")
        error = root.find("{*}Error")
        if error is None:
            self._say("Error", "missing")
            return
        for name in ("Type", "Code", "Message"):
            if error.find("{*}" + name) is None:
                self._say(f"Error.{name}", "missing")
        if root.find("{*}RequestId") is None:
            self._say("RequestId", "missing")
        self._error_code(error.findtext("{*}Code", ""))


class Watch:
    """Collects what walks find, over all clients of a test run."""

    def __init__(self):
        self.problems = []
        self.clients = 0
        self.walked = 0

    def is_blind(self):
        """Were there clients, and not one answer to walk? Then nothing was held against its model."""
        return self.clients > 0 and self.walked == 0

    def attach(self, client):
        self.clients += 1
        client.meta.events.register("before-parse", self._on_response)

    def _on_response(self, operation_model, response_dict, **_):
        body = response_dict["body"]
        streams = operation_model.has_streaming_output or operation_model.has_event_stream_output
        streaming = streams and response_dict["status_code"] < 300
        self.see(
            operation_model,
            response_dict["status_code"],
            response_dict["headers"],
            b"" if streaming else body,
        )

    def see(self, operation, status, headers, body):
        self.walked += 1
        self.problems += Walk(operation, status, headers, body).run()

    def take(self):
        problems, self.problems = self.problems, []
        return problems
