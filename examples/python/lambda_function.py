import logging

logger = logging.getLogger()
logger.setLevel("INFO")


def handler(event, context):
    name = event.get("name", "world")
    logger.info("greeting %s, %d ms left", name, context.get_remaining_time_in_millis())
    return {"message": f"Hello, {name}!"}
