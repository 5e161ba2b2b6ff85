import time


def handler(event, context):
    """What is yielded is on its way to the client before the next line runs."""
    yield "Hello, "
    time.sleep(event.get("pause", 0))
    yield event.get("name", "world") + "!\n"
