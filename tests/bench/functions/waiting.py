import time


def handler(event, context):
    time.sleep(event.get("wait", 0))
    return event
