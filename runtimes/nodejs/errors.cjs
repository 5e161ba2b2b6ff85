'use strict';
/*
 * Errors as the caller, the log and X-Ray see them. The shapes and the names are those of
 * AWS's runtime client.
 */

/* Errors of the contract between platform and function: named Runtime.CLASS. */
class RuntimeError extends Error {
	get name() {
		return `Runtime.${this.constructor.name}`;
	}
}

/* One that stands for another: its message is the other's text, its trace the other's stack. */
class Wrapped extends RuntimeError {
	constructor(cause) {
		super(String(cause));
		this.stack = `${this.name}: ${this.message}\n${cause.stack}`;
	}
}

class ImportModuleError extends Wrapped {}
class UserCodeSyntaxError extends Wrapped {}
class HandlerNotFound extends RuntimeError {}
class MalformedHandlerName extends RuntimeError {}
class CallbackHandlerDeprecated extends RuntimeError {}
class JSONStringifyError extends RuntimeError {}
class InvalidStreamingOperation extends RuntimeError {}
class MalformedStreamingHandler extends RuntimeError {}

class UnhandledPromiseRejection extends RuntimeError {
	constructor(reason, promise) {
		super(reason);
		this.reason = reason;
		this.promise = promise;
	}
}


function isError(value) {
	return value instanceof Error || require('util').types.isNativeError(value) ||
		Boolean(value && [value.name, value.message, value.stack]
			.every((text) => text && typeof text === 'string'));
}

/* A DEL would end a line in some readers of traces: AWS writes it as %7F. */
function visible(text) {
	return text?.replace(/\x7f/g, '%7F');
}

/* The error object that the caller gets. */
function describe(error) {
	try {
		if (!isError(error))
			return { errorType: typeof error, errorMessage: String(error), trace: [] };
		return {
			errorType: visible(error.name),
			errorMessage: visible(error.message),
			trace: visible(error.stack).split('\n'),
		};
	} catch {
		return {
			errorType: 'handled',
			errorMessage: 'callback called with Error argument, but there was a problem while ' +
				'retrieving one or more of its message, name, and stack',
			trace: [],
		};
	}
}

/* Header fields are ASCII, and no line break can leave its field. */
function fieldText(value) {
	return String(value).replace(/[^\x20-\x7e]/g, '?');
}

/* What the log shows of an error in the text format: its own properties too. */
function toLogText(error) {
	try {
		return JSON.stringify(error, (_, value) => withProperties(value));
	} catch {
		return JSON.stringify(describe(error));
	}
}

function withProperties(value) {
	if (!(value instanceof Error))
		return value;
	const result = { errorType: value.name, errorMessage: value.message, code: value.code, ...value };
	if (typeof value.stack === 'string')
		result.stack = value.stack.split('\n');
	return result;
}

/* The cause for X-Ray, as JSON; '' for what is no error. */
function cause(error) {
	try {
		const stack = (visible(error.stack) ?? '').split('\n').slice(1).map(parseFrame);
		return JSON.stringify({
			working_directory: process.cwd(),
			exceptions: [{ type: visible(error.name), message: visible(error.message), stack }],
			paths: [...new Set(stack.map((frame) => frame.path))],
		});
	} catch {
		return '';
	}
}

/* `at label (path:line:column)`, where the label may be missing. */
function parseFrame(line) {
	const text = line.trim().replace(/[()]/g, '').replace(/^\S*\s/, '');
	const space = text.lastIndexOf(' ');
	const [path, number] = text.slice(space + 1).split(':');
	return { path, line: parseInt(number), label: space > 0 ? text.slice(0, space) : 'anonymous' };
}

module.exports = {
	CallbackHandlerDeprecated,
	HandlerNotFound,
	ImportModuleError,
	JSONStringifyError,
	MalformedHandlerName,
	InvalidStreamingOperation,
	MalformedStreamingHandler,
	UnhandledPromiseRejection,
	UserCodeSyntaxError,
	cause,
	describe,
	fieldText,
	isError,
	toLogText,
};
