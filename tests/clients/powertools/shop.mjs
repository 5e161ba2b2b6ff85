import { getMetadata } from '@aws-lambda-powertools/commons/utils/metadata';
import { Logger } from '@aws-lambda-powertools/logger';
import { search } from '@aws-lambda-powertools/logger/correlationId';
import { injectLambdaContext } from '@aws-lambda-powertools/logger/middleware';
import { Metrics, MetricUnit } from '@aws-lambda-powertools/metrics';
import { logMetrics } from '@aws-lambda-powertools/metrics/middleware';
import { Tracer } from '@aws-lambda-powertools/tracer';
import { captureLambdaHandler } from '@aws-lambda-powertools/tracer/middleware';
import middy from '@middy/core';

const logger = new Logger({ correlationIdSearchFn: search });
const tracer = new Tracer();
const metrics = new Metrics({ defaultDimensions: { stage: 'test' } });

const price = (number) =>
	tracer.provider.captureAsyncFunc('## price', async (segment) => {
		segment.addAnnotation('number', number);
		segment.addMetadata('currency', 'EUR', 'shop');
		segment.close();
		return number * 10;
	});

const order = async (event) => {
	const number = Number(event.rawPath.split('/').at(-1));
	if (Number.isNaN(number)) {
		logger.error('no number', new RangeError(event.rawPath));
		return { statusCode: 422, body: 'no number' };
	}
	metrics.addMetric('orders', MetricUnit.Count, 1);
	logger.info('an order', { number });
	const { AvailabilityZoneID: zone } = await getMetadata({ timeout: 10_000 });
	const body = { price: await price(number), of: event.requestContext.http.sourceIp, zone };
	return { statusCode: 200, headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) };
};

export const handler = middy(order)
	.use(captureLambdaHandler(tracer))
	.use(injectLambdaContext(logger, { correlationIdPath: 'requestContext.requestId' }))
	.use(logMetrics(metrics, { captureColdStartMetric: true }));
