'use strict';
/* The context: what a handler gets as its second argument, from the event's header fields. */

function parse(fields, name, what) {
	const text = fields[name];
	if (!text)
		return undefined;
	try {
		return JSON.parse(text);
	} catch (error) {
		throw new Error(`Cannot parse ${what} as json: ${error}`);
	}
}

function make(fields, modern) {
	const deadline = Number(fields['lambda-runtime-deadline-ms']);
	const context = {
		functionVersion: process.env.AWS_LAMBDA_FUNCTION_VERSION,
		functionName: process.env.AWS_LAMBDA_FUNCTION_NAME,
		memoryLimitInMB: process.env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
		logGroupName: process.env.AWS_LAMBDA_LOG_GROUP_NAME,
		logStreamName: process.env.AWS_LAMBDA_LOG_STREAM_NAME,
		clientContext: parse(fields, 'lambda-runtime-client-context', 'ClientContext'),
		identity: parse(fields, 'lambda-runtime-cognito-identity', 'CognitoIdentity'),
		invokedFunctionArn: fields['lambda-runtime-invoked-function-arn'],
		awsRequestId: fields['lambda-runtime-aws-request-id'],
		tenantId: fields['lambda-runtime-aws-tenant-id'],
		getRemainingTimeInMillis: () => deadline - Date.now(),
	};
	if (modern)
		context.xRayTraceId = fields['lambda-runtime-trace-id'];
	return context;
}

module.exports = { make };
