"""
The values and the mistakes that the C scanner and encoder alone cannot handle.

AWS's client encodes with simplejson, which knows more than the standard library: named
tuples (anything with _asdict) are objects, bytes are UTF-8 text, and a Decimal keeps its
digits. Such a value is first made plain, then goes through the C encoder again; digits
survive it as a string subclass that the string quoter lets pass.
"""
import json
import sys

import _json


class Digits(str):
    """A number that is written without quotes."""


def loads(data):
    return json.loads(data.decode("utf-8-sig"), parse_constant=refuse_constant)


def refuse_constant(name):
    raise ValueError("%s is not JSON" % name)


def dumps(value, quote):
    def quote_text(text):
        return text if type(text) is Digits else quote(text)

    encode = _json.make_encoder({}, refuse, quote_text, None, ": ", ", ", False, False, True)
    return "".join(encode(plain(value, set()), 0))


def refuse(value):
    raise TypeError("Object of type %s is not JSON serializable" % type(value).__name__)


def plain(value, inside):
    """`value` made of what the C encoder knows; `inside` holds the containers around it."""
    if value is None or isinstance(value, (str, int, float)):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8")
    if id(value) in inside:
        raise ValueError("Circular reference detected")
    inside.add(id(value))
    try:
        if isinstance(value, list):
            return [plain(item, inside) for item in value]
        if callable(getattr(value, "_asdict", None)):
            return plain_fields(value, inside)
        if isinstance(value, tuple):
            return [plain(item, inside) for item in value]
        if isinstance(value, dict):
            return plain_dict(value, inside)
    finally:
        inside.discard(id(value))
    return plain_number(value)


def plain_dict(value, inside):
    return {plain_key(key): plain(item, inside) for key, item in value.items()}


def plain_key(key):
    if isinstance(key, bytes):
        return key.decode("utf-8")
    if key is not None and not isinstance(key, (str, int, float)):
        raise TypeError("keys must be str, int, float, bool or None, not " + type(key).__name__)
    return key


def plain_fields(value, inside):
    fields = value._asdict()
    if not isinstance(fields, dict):
        raise TypeError("_asdict() must return a dict, not %s" % type(fields).__name__)
    return plain_dict(fields, inside)


def plain_number(value):
    decimal = sys.modules.get("decimal")  # no Decimal can exist before its module does
    if decimal is None or not isinstance(value, decimal.Decimal):
        refuse(value)
    return float("nan") if value.is_nan() else Digits(value)
