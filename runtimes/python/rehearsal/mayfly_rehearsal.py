"""A function of ours, like many: rehearse() in mayfly_runtime.py imports and calls it."""
import os

GREETING = "hello %s"


class Thing:
    def __init__(self, name):
        self.name = name


def handler(event, context):
    things = [Thing(name) for name in event.get("names", ())]
    return {"things": [GREETING % thing.name for thing in things], "id": context.aws_request_id, "os": os.name}
