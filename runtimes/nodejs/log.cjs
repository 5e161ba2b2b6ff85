'use strict';
/*
 * console.* as a function finds it on AWS: each call is one event in the function's log, with
 * time, request id and level in the text format, or one JSON object. A platform that takes
 * framed events gets them framed; without frames it cuts at line breaks, and a call is as many
 * events as lines.
 */
const { writeSync } = require('fs');
const { format } = require('util');
const { toLogText } = require('./errors.cjs');

const STDOUT = 1; // process.stdout may be the function's own by now
const FRAME_JSON = 0xa55a0002;
const FRAME_TEXT = 0xa55a0003;
const FRAME_MAX = 256 * 1024; // bytes of text in a frame; more goes on in the next
const LEVELS = ['TRACE', 'DEBUG', 'INFO', 'WARN', 'ERROR', 'FATAL'];

let framesFd;
let isJson;
let requestId;
let tenantId;

function setInvocation(id, tenant) {
	requestId = id;
	tenantId = tenant || undefined;
}

function write(rank, line) {
	const text = Buffer.from(line + '\n');
	if (!framesFd)
		return void writeAll(STDOUT, text);
	for (let start = 0; start < text.length; start += FRAME_MAX) {
		const piece = text.subarray(start, start + FRAME_MAX);
		const head = Buffer.alloc(16);
		head.writeUInt32BE(((isJson ? FRAME_JSON : FRAME_TEXT) | ((rank + 1) << 2)) >>> 0, 0);
		head.writeUInt32BE(piece.length, 4);
		head.writeBigUInt64BE(BigInt(Date.now()) * 1000n, 8);
		writeAll(Number(framesFd), Buffer.concat([head, piece]));
	}
}

function writeAll(fd, bytes) {
	for (let rest = bytes; rest.length > 0;) {
		try {
			rest = rest.subarray(writeSync(fd, rest));
		} catch (error) {
			if (error.code !== 'EAGAIN') // the function made the pipe non-blocking: try again
				throw error;
		}
	}
}

function textLine(level, values) {
	return `${new Date().toISOString()}\t${requestId}\t${level}\t${format(...values)}`;
}

function jsonLine(level, values) {
	const line = { timestamp: new Date().toISOString(), level, requestId, tenantId };
	if (values.length === 1) {
		try {
			return JSON.stringify({ ...line, message: values[0] }, (_, value) =>
				value instanceof Error ? { ...errorFields(value), ...value } : value);
		} catch { // circular, or a BigInt
			return JSON.stringify({ ...line, message: format(values[0]) });
		}
	}
	const error = values.find((value) => value instanceof Error);
	return JSON.stringify({ ...line, message: format(...values), ...(error && errorFields(error)) });
}

function errorFields(error) {
	return {
		errorType: error.constructor?.name ?? 'UnknownError',
		errorMessage: error.message,
		stackTrace: typeof error.stack === 'string' ? error.stack.split('\n') : [],
	};
}

function patchConsole(modern) {
	framesFd = process.env._LAMBDA_TELEMETRY_LOG_FD;
	delete process.env._LAMBDA_TELEMETRY_LOG_FD;
	isJson = process.env.AWS_LAMBDA_LOG_FORMAT?.toUpperCase() === 'JSON';
	if (modern)
		requestId = '-'; // until the first invocation; the classic client has `undefined` there
	const least = Math.max(0, LEVELS.indexOf(process.env.AWS_LAMBDA_LOG_LEVEL?.toUpperCase()));
	const toLine = isJson ? jsonLine : textLine;
	LEVELS.forEach((level, rank) => {
		console[level.toLowerCase()] =
			rank < least ? () => {} : (first, ...rest) => write(rank, toLine(level, [first, ...rest]));
	});
	console.log = console.info;
}

function asError(cause) {
	if (cause instanceof Error)
		return cause;
	try {
		return new Error(cause);
	} catch { // it has no text
		return new Error(typeof cause);
	}
}

/* An error that ends an invocation or the environment. */
function error(what, cause) {
	const thing = asError(cause);
	if (isJson)
		console.error(thing);
	else
		console.error(what, '\t' + toLogText(thing));
}

module.exports = { error, patchConsole, setInvocation };
