"""Reads a log with framed events (see runtimes/README.md, "Log events")."""
from dataclasses import dataclass

LEVELS = {0: None, 1: "TRACE", 2: "DEBUG", 3: "INFO", 4: "WARN", 5: "ERROR", 6: "FATAL"}


@dataclass
class LogEvent:
    text: str
    level: str = None
    format: str = None  # text or json; None for a plain line


def read_log(data):
    """Frames and plain lines of a log, in order."""
    events = []
    while data:
        if data[:3] == b"\xa5\x5a\x00":
            size = int.from_bytes(data[4:8], "big")
            kind = data[3]
            assert int.from_bytes(data[8:16], "big") > 1_600_000_000_000_000
            text = data[16:16 + size]
            assert len(text) == size
            events.append(LogEvent(text.decode(), LEVELS[kind >> 2], "text" if kind & 1 else "json"))
            data = data[16 + size:]
        else:
            line, _, data = data.partition(b"\n")
            events.append(LogEvent(line.decode()))
    return events
