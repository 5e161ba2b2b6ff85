import time


def handler(event, context):
    time.sleep(0.5)  # as many environments as callers
    return "done"
