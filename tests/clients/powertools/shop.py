from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.event_handler import LambdaFunctionUrlResolver, Response
from aws_lambda_powertools.logging import correlation_paths
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.metadata import get_lambda_metadata

logger = Logger()
tracer = Tracer()
metrics = Metrics()
metrics.set_default_dimensions(stage="test")
app = LambdaFunctionUrlResolver()


@tracer.capture_method
def price(number):
    tracer.put_annotation("number", number)
    tracer.put_metadata("currency", "EUR")
    return number * 10


@app.get("/orders/<number>")
def order(number):
    number = int(number)
    metrics.add_metric("orders", MetricUnit.Count, 1)
    logger.info("an order", extra={"number": number})
    zone = get_lambda_metadata(timeout=10).availability_zone_id
    return {"price": price(number), "of": app.current_event.request_context.http.source_ip, "zone": zone}


@app.exception_handler(ValueError)
def no_number(error):
    logger.exception("no number")
    return Response(status_code=422, content_type="text/plain", body="no number")


@logger.inject_lambda_context(correlation_id_path=correlation_paths.LAMBDA_FUNCTION_URL)
@tracer.capture_lambda_handler
@metrics.log_metrics(capture_cold_start_metric=True)
def handler(event, context):
    return app.resolve(event, context)
