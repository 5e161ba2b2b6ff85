'use strict';
/*
 * Response streaming: what a function declares with awslambda.streamifyResponse, and the stream that
 * its handler writes to. Behind that is a request of node's own http client, chunked, on a connection of
 * its own: so when the platform stops reading, write() says false and 'drain' comes later, as on any stream.
 * What a handler can see of it follows AWS's clients: the same methods and properties, and no others.
 */
const errors = require('./errors.cjs');

const HANDLER_STREAMING = Symbol.for('aws.lambda.runtime.handler.streaming');
const HANDLER_HIGHWATERMARK = Symbol.for('aws.lambda.runtime.handler.streaming.highWaterMark');
const STREAM_RESPONSE = 'response';

const ERROR_TYPE = 'Lambda-Runtime-Function-Error-Type';
const ERROR_BODY = 'Lambda-Runtime-Function-Error-Body';
const HTTP_INTEGRATION = 'application/vnd.awslambda.http-integration-response';
const ERROR_MAX = 12 * 1024; // characters of an error's JSON
const ERROR_TYPE_MAX = 256;
const DELIMITER_LENGTH = 8; // NUL bytes between the prelude and the body

const METHODS = [
	'cork', 'destroy', 'end', 'uncork', 'write',
	'addListener', 'emit', 'eventNames', 'getMaxListeners', 'listenerCount', 'listeners', 'off', 'on', 'once',
	'prependListener', 'prependOnceListener', 'rawListeners', 'removeAllListeners', 'removeListener',
	'setMaxListeners', 'setContentType',
];
const READ_WRITE = ['destroyed', 'writable', '_onBeforeFirstWrite'];
const READ_ONLY = [
	'writableBuffer', 'writableCorked', 'writableEnded', 'writableFinished', 'writableHighWaterMark', 'writableLength',
	'writableNeedDrain', 'writableObjectMode',
];

/* ---- what a function declares ---- */

class HttpResponseStream {
	/* The same stream, which writes the response's status and headers before its first byte. */
	static from(stream, prelude) {
		stream.setContentType(HTTP_INTEGRATION);
		const text = JSON.stringify(prelude);
		stream._onBeforeFirstWrite = (write) => {
			write(text);
			write(new Uint8Array(DELIMITER_LENGTH));
		};
		return stream;
	}
}

function streamifyResponse(handler, options) {
	handler[HANDLER_STREAMING] = STREAM_RESPONSE;
	if (typeof options?.highWaterMark === 'number')
		handler[HANDLER_HIGHWATERMARK] = parseInt(options.highWaterMark);
	return handler;
}

function declareGlobals() {
	if (['1', 'true'].includes(process.env.AWS_LAMBDA_NODEJS_NO_GLOBAL_AWSLAMBDA))
		return;
	globalThis.awslambda = { ...globalThis.awslambda, streamifyResponse, HttpResponseStream };
}

function isStreaming(handler) {
	const kind = handler[HANDLER_STREAMING];
	if (kind === undefined || kind === null || kind === false)
		return false;
	if (kind !== STREAM_RESPONSE)
		throw new errors.MalformedStreamingHandler('Only response streaming is supported.');
	return true;
}

/* ---- the stream of one invocation ---- */

let agent; // one connection, kept from one invocation to the next; it keeps no idle process alive

function request(address, id, highWaterMark) {
	const http = require('http');
	const net = require('net');
	const colon = address.lastIndexOf(':');
	agent ??= new http.Agent({ keepAlive: true, maxSockets: 1 });
	agent.createConnection = (options, onConnect) => net.createConnection({ ...options, highWaterMark }, onConnect);
	return http.request({
		agent,
		method: 'POST',
		hostname: address.slice(0, colon),
		port: address.slice(colon + 1),
		path: `/2018-06-01/runtime/invocation/${encodeURIComponent(id)}/response`,
		headers: {
			'Lambda-Runtime-Function-Response-Mode': 'streaming',
			'Trailer': [ERROR_TYPE, ERROR_BODY],
			'Content-Type': 'application/octet-stream',
			'Transfer-Encoding': 'chunked',
		},
	});
}

/* The first write fixes the content type; things that are no bytes are written as JSON. */
function adapt(req) {
	let isWritten = false;
	req.setContentType = (type) => {
		if (isWritten)
			throw new errors.InvalidStreamingOperation('Cannot set content-type, too late.');
		req.setHeader('Content-Type', type);
	};
	const write = req.write.bind(req);
	req.write = (chunk, encoding, callback) => {
		const isBytes = typeof chunk === 'string' || chunk instanceof Uint8Array;
		const bytes = isBytes ? chunk : JSON.stringify(chunk);
		if (!isWritten)
			req._onBeforeFirstWrite?.((piece) => write(piece));
		const result = write(bytes, encoding, callback);
		isWritten = true;
		return result;
	};
}

/* What the handler gets: not the request, which could do more. */
function facade(req) {
	const stream = Object.fromEntries(METHODS.map((name) => [name, req[name].bind(req)]));
	for (const name of READ_WRITE)
		Object.defineProperty(stream, name, {
			get: () => req[name],
			set: (value) => {
				req[name] = value;
			},
		});
	for (const name of READ_ONLY)
		Object.defineProperty(stream, name, { get: () => req[name] });
	return stream;
}

/* The platform bounds trailers as it bounds headers: of an error that is longer, the beginning is told. */
function trailersOf(result) {
	const errorType = String(result.errorType).slice(0, ERROR_TYPE_MAX);
	if (JSON.stringify(result).length > ERROR_MAX)
		result = { errorType, errorMessage: String(result.errorMessage).slice(0, ERROR_MAX / 6), trace: [] };
	return {
		[ERROR_TYPE]: errors.fieldText(errorType),
		[ERROR_BODY]: Buffer.from(JSON.stringify(result)).toString('base64'),
	};
}

/*
 * Open the response of an invocation: { stream, done, fail }. `done` resolves when the platform has answered, and
 * rejects when the connection broke. fail(error) ends the stream with the error in its trailers, if
 * it has not ended, and resolves when nothing more can come of it.
 */
function open(address, id, highWaterMark) {
	const req = request(address, id, highWaterMark);
	const closed = new Promise((resolve) => req.once('close', resolve));
	const done = new Promise((resolve, reject) => {
		req.on('response', (res) => {
			res.on('aborted', reject);
			res.on('end', resolve);
			res.resume();
		});
		req.on('error', (error) => {
			reject(error);
			req.destroy(error);
		});
	});
	done.catch(() => {}); // whoever waits for it hears of it
	adapt(req);
	const fail = async (error) => {
		if (!req.writableEnded) {
			req.addTrailers(trailersOf(errors.describe(error)));
			req.end();
		}
		await closed;
	};
	return { stream: facade(req), done, fail };
}

function highWaterMark(handler) {
	return handler[HANDLER_HIGHWATERMARK];
}

module.exports = { declareGlobals, highWaterMark, isStreaming, open };
