'use strict';
/*
 * The Node.js side of the Lambda Runtime API: load the handler, then for ever take an event,
 * call the handler, report its result. What the handler can see follows AWS's own runtime
 * clients, of which there are two: up to Node.js 22 handlers may answer through a callback or
 * by letting the event loop run dry ("classic" here); from Node.js 24 on they return a value
 * or a promise ("modern"). The function's runtime name decides, not the node that runs it.
 *
 * CommonJS, because the ES module loader costs milliseconds that most functions need not pay.
 */
const RuntimeApi = require('./api.cjs');
const context = require('./context.cjs');
const errors = require('./errors.cjs');
const load = require('./load.cjs');
const log = require('./log.cjs');
const stream = require('./stream.cjs');

const MODERN = 24; // the first major version without callbacks
const EXIT_UNCAUGHT = 129;
const EXIT_UNHANDLED = 128;

const CALLBACKS_ARE_GONE =
	'ERROR: callback-based function handlers are not supported from Node.js 24 on: make ' +
	'the handler async, or return a promise.';

let modern; // known once there is a function

/* The invocation in progress, null between two; isInit before the first. */
let current = { isInit: true };
let isDying = false;

function isModern() {
	const wanted = /^AWS_Lambda_nodejs(\d+)/.exec(process.env.AWS_EXECUTION_ENV ?? '');
	return wanted !== null && Number(wanted[1]) >= MODERN;
}

/* JSON as AWS's client writes it: nothing is null. */
function serialize(value) {
	let text;
	try {
		text = JSON.stringify(value === undefined ? null : value);
	} catch {
		text = undefined;
	}
	if (text === undefined)
		throw new (modern ? errors.JSONStringifyError : Error)('Unable to stringify response body');
	return text;
}

/* Report and take the next event; one that dies says no more than why, and takes nothing. */
function take(api, report, begin) {
	if (isDying)
		return;
	current = null;
	api.next(report, (fields, body) => {
		log.setInvocation(fields['lambda-runtime-aws-request-id'], fields['lambda-runtime-aws-tenant-id']);
		const trace = fields['lambda-runtime-trace-id'];
		if (trace)
			process.env._X_AMZN_TRACE_ID = trace;
		else
			delete process.env._X_AMZN_TRACE_ID;
		// Off the socket's stack: traces end where the function's code begins.
		Promise.resolve().then(() => begin(fields, body));
	});
}

/* ---- modern ---- */

/* One turn of the event loop: a rejection that the handler left behind ends it before it has answered. */
function turn() {
	return new Promise(setImmediate);
}

function serveModern(api, handler) {
	const begin = async (fields, body) => {
		const id = fields['lambda-runtime-aws-request-id'];
		let report;
		try {
			const value = await handler(JSON.parse(body), context.make(fields, true));
			await turn();
			report = api.response(id, serialize(value));
		} catch (error) {
			await turn();
			log.error('Invoke Error', error);
			report = api.error(id, error);
		}
		take(api, report, begin);
	};
	take(api, '', begin);
}

/*
 * Call a streaming handler and see its stream through to the end; throws what went wrong. The classic client says
 * what it finds wrong in a text, the modern one in an error.
 */
async function runStreaming(handler, response, event, invocationContext) {
	const result = handler(event, response.stream, invocationContext);
	if (!result || typeof result.then !== 'function')
		throw streamingError('Streaming does not support non-async handlers.');
	if (await result !== undefined)
		console.warn('Streaming handlers ignore return values.');
	await response.done;
	if (!response.stream.writableFinished)
		throw streamingError('Response stream is not finished.');
}

function streamingError(text) {
	return modern ? new Error(text) : text;
}

function serveModernStreaming(api, handler) {
	const begin = async (fields, body) => {
		const event = JSON.parse(body);
		const response = stream.open(
			api.address, fields['lambda-runtime-aws-request-id'], stream.highWaterMark(handler));
		try {
			await runStreaming(handler, response, event, context.make(fields, true));
		} catch (error) {
			await turn();
			log.error('Invoke Error', error);
			await response.fail(error);
		}
		take(api, '', begin);
	};
	take(api, '', begin);
}

/* ---- classic ---- */

/*
 * One invocation of a classic handler. It ends once, in one of these ways: the callback or
 * context.done/succeed/fail, the promise that the handler returned, the event loop running
 * dry, or an error nobody caught.
 */
class Invocation {
	constructor(api, fields, again) {
		this.api = api;
		this.id = fields['lambda-runtime-aws-request-id'];
		this.fields = fields;
		this.again = again;
		this.waitsForEmptyLoop = true;
		this.isCalled = false; // the handler has said how it ends
		this.isReported = false;
		this.whenLoopIsEmpty = () => this.succeed(null);
	}

	run(handler, body) {
		try {
			const result = handler(JSON.parse(body), this.context(), this.callback());
			if (result && typeof result.then === 'function')
				result.then((value) => this.once(() => this.succeed(value)))
					.then(undefined, (error) => this.once(() => this.fail(error ?? 'handled')));
		} catch (error) {
			this.once(() => this.fail(error));
		}
	}

	/* The first way to end that completes is the one that counts. */
	once(end) {
		if (this.isCalled)
			return;
		end();
		this.isCalled = true;
	}

	callback() {
		return (error, value) => this.once(() => {
			if (error !== undefined && error !== null)
				this.fail(error);
			else if (this.waitsForEmptyLoop)
				this.whenLoopIsEmpty = () => this.succeedLate(value);
			else
				this.succeed(value);
		});
	}

	context() {
		const done = (error, value) => this.once(() => {
			if (error !== undefined && error !== null)
				this.fail(error);
			else
				this.succeed(value);
		});
		const invocation = this;
		const result = {
			get callbackWaitsForEmptyEventLoop() {
				return invocation.waitsForEmptyLoop;
			},
			set callbackWaitsForEmptyEventLoop(value) {
				invocation.waitsForEmptyLoop = value;
			},
			succeed: (value) => done(null, value),
			fail: (error) => done(error ?? 'handled'),
			done,
		};
		Object.defineProperties(result, Object.getOwnPropertyDescriptors(context.make(this.fields, false)));
		return result;
	}

	succeed(value) {
		this.finish(this.api.response(this.id, serialize(value)));
	}

	/* From the event loop's end there is nobody left to throw to. */
	succeedLate(value) {
		try {
			this.succeed(value);
		} catch (error) {
			this.fail(error);
		}
	}

	fail(error) {
		log.error('Invoke Error', error);
		this.finish(this.api.error(this.id, error));
	}

	finish(report) {
		if (this.isReported)
			return;
		this.isReported = true;
		this.whenLoopIsEmpty = () => {};
		this.again(report);
	}
}

/* One whose handler streams: it ends when its promise and its stream have. */
class StreamingInvocation {
	constructor(api, fields, again) {
		this.api = api;
		this.id = fields['lambda-runtime-aws-request-id'];
		this.fields = fields;
		this.again = again;
		this.waitsForEmptyLoop = true;
		this.isReported = false;
	}

	async run(handler, body) {
		const event = JSON.parse(body);
		const response = stream.open(this.api.address, this.id, stream.highWaterMark(handler));
		try {
			await runStreaming(handler, response, event, this.context());
		} catch (error) {
			log.error('Invoke Error', error);
			await response.fail(error);
		}
		this.finish();
	}

	context() {
		const invocation = this;
		const result = {
			get callbackWaitsForEmptyEventLoop() {
				return invocation.waitsForEmptyLoop;
			},
			set callbackWaitsForEmptyEventLoop(value) {
				invocation.waitsForEmptyLoop = value;
			},
		};
		return Object.defineProperties(result, Object.getOwnPropertyDescriptors(context.make(this.fields, false)));
	}

	/* The next event comes when the handler has left nothing running, unless it does not want that. */
	finish() {
		this.isReported = true;
		const next = () => {
			this.whenLoopIsEmpty = undefined;
			this.again('');
		};
		if (this.waitsForEmptyLoop)
			this.whenLoopIsEmpty = next;
		else
			setImmediate(next);
	}
}

function serveClassic(api, handler) {
	const Kind = stream.isStreaming(handler) ? StreamingInvocation : Invocation;
	const begin = (fields, body) => {
		current = new Kind(api, fields, again);
		current.run(handler, body);
	};
	const again = (report) => take(api, report, begin);
	process.on('beforeExit', () => current?.whenLoopIsEmpty?.());
	take(api, '', begin);
}

/*
 * An error that nobody caught ends the environment: it is the result of the invocation in
 * progress, or of the init phase.
 */
function dieOf(api, error, status) {
	if (isDying)
		return;
	isDying = true;
	const failed = current;
	const exit = () => process.exit(status);
	if (failed?.isInit)
		api.last(api.initError(error), exit);
	else if (failed && !failed.isReported)
		api.last(api.error(failed.id, error), exit);
	else
		exit();
}

function watchErrors(api) {
	process.on('uncaughtException', (error) => {
		log.error('Uncaught Exception', error);
		dieOf(api, error, EXIT_UNCAUGHT);
	});
	process.on('unhandledRejection', (reason, promise) => {
		const error = new errors.UnhandledPromiseRejection(reason, promise);
		log.error('Unhandled Promise Rejection', error);
		dieOf(api, error, EXIT_UNHANDLED);
	});
}

async function main() {
	const api = process.env.MAYFLY_STEM
		? await require('./stem.cjs').become({ RuntimeApi, context, serialize, Invocation, log, watchErrors })
		: new RuntimeApi(process.env.AWS_LAMBDA_RUNTIME_API);
	modern = isModern();
	log.patchConsole(modern);
	if (!modern)
		watchErrors(api);
	try {
		const handler = await load(process.env.LAMBDA_TASK_ROOT, process.env._HANDLER, modern);
		const isStreaming = stream.isStreaming(handler);
		if (modern && handler.length >= 3 && !isStreaming)
			throw new errors.CallbackHandlerDeprecated(CALLBACKS_ARE_GONE);
		if (!modern)
			serveClassic(api, handler);
		else if (isStreaming)
			serveModernStreaming(api, handler);
		else
			serveModern(api, handler);
	} catch (error) {
		log.error(modern ? 'Init Error' : 'Uncaught Exception', error);
		dieOf(api, error, modern ? 1 : EXIT_UNCAUGHT);
	}
}

main();
