'use strict';
/*
 * The connection to the Runtime API, on a bare socket: one keep-alive connection, and the
 * report of one invocation leaves in the same segment as the request for the next event
 * (HTTP pipelining). node's http client can do neither in one write.
 *
 * The socket keeps the event loop alive only while something is expected on it. While a
 * handler runs it does not, so that 'beforeExit' means that the handler's work has run dry.
 */
const net = require('net');
const errors = require('./errors.cjs');

const RUNTIME = '/2018-06-01/runtime/';
const CONNECT_MAX = 3; // connections in a row without one answer, before we give up
const CAUSE_MAX = 32 * 1024; // bytes of the X-Ray cause: the platform bounds its headers

module.exports = class RuntimeApi {
	constructor(address) {
		const colon = address.lastIndexOf(':');
		this.host = address.slice(0, colon);
		this.port = Number(address.slice(colon + 1));
		this.address = address;
		this.socket = null;
		this.pieces = []; // received, not yet a whole answer
		this.size = 0; // of all pieces
		this.need = 1; // size before which looking at them is no use
		this.skip = 0; // answers to reports, still to come before the one that we wait for
		this.onAnswer = null; // takes the answer that we wait for
		this.isLast = false;
		this.failures = 0;
		this.take = `GET ${RUNTIME}invocation/next HTTP/1.1\r\nHost: ${address}\r\n\r\n`;
	}

	/* ---- reports: the text of a POST ---- */

	response(id, body) {
		return this.post(`invocation/${encodeURIComponent(id)}/response`, body, '');
	}

	error(id, error) {
		const result = errors.describe(error);
		const cause = escapeNonAscii(errors.cause(error));
		let fields = errorType(result);
		if (cause && cause.length <= CAUSE_MAX)
			fields += `Lambda-Runtime-Function-XRay-Error-Cause: ${cause}\r\n`;
		return this.post(`invocation/${encodeURIComponent(id)}/error`, JSON.stringify(result), fields);
	}

	initError(error) {
		const result = errors.describe(error);
		return this.post('init/error', JSON.stringify(result), errorType(result));
	}

	post(path, body, fields) {
		return `POST ${RUNTIME}${path} HTTP/1.1\r\nHost: ${this.address}\r\n` +
			'Content-Type: application/json\r\n' +
			`Content-Length: ${Buffer.byteLength(body)}\r\n${fields}\r\n${body}`;
	}

	/* ---- exchanges ---- */

	/*
	 * Send a report (or '') and wait for the next event: onEvent(fields, body). A report that
	 * was refused is over all the same: the platform has ended that invocation with an error
	 * of its own.
	 */
	next(report, onEvent) {
		this.onAnswer = (status, fields, body) => {
			if (status !== 200)
				return giveUp(`it answered ${status}: ${body.slice(0, 200)}`);
			onEvent(fields, body);
		};
		this.skip = report ? 1 : 0;
		this.send(report + this.take);
	}

	/*
	 * Ask for something that may come in hours: onAnswer(status, fields, body), or onAnswer() when
	 * the connection is lost. It is never asked for twice.
	 */
	ask(path, onAnswer) {
		this.onAnswer = (...answer) => {
			this.isLast = false;
			onAnswer(...answer);
		};
		this.isLast = true;
		this.send(`GET ${RUNTIME}${path} HTTP/1.1\r\nHost: ${this.address}\r\n\r\n`);
	}

	/* Send a report after which this process ends; `done` is called when it is answered. */
	last(report, done) {
		this.onAnswer = done;
		this.isLast = true;
		this.send(report);
	}

	send(text) {
		if (!this.socket)
			this.connect();
		this.socket.ref();
		this.socket.write(text);
	}

	connect() {
		const socket = net.connect({ host: this.host, port: this.port, noDelay: true });
		let reason = 'it closed the connection';
		socket.on('data', (data) => this.received(socket, data));
		socket.on('error', (error) => {
			reason = error.message;
		});
		socket.on('close', () => this.lost(socket, reason));
		this.socket = socket;
		this.keep(null, 1);
	}

	/* A report may have arrived before the connection broke: it is never sent twice. */
	lost(socket, reason) {
		if (socket !== this.socket)
			return;
		this.socket = null;
		if (!this.onAnswer)
			return;
		if (this.isLast)
			return void this.onAnswer();
		if (++this.failures >= CONNECT_MAX)
			return giveUp(reason);
		this.skip = 0;
		this.send(this.take);
	}

	received(socket, data) {
		if (socket !== this.socket)
			return;
		this.pieces.push(data);
		this.size += data.length;
		if (this.size < this.need)
			return;
		let rest = this.pieces.length === 1 ? data : Buffer.concat(this.pieces);
		while (rest.length > 0) {
			const answer = parseAnswer(rest);
			if (answer.need)
				return this.keep(rest, answer.need);
			rest = rest.subarray(answer.used);
			this.keep(rest, 1);
			this.failures = 0;
			this.answered(answer);
		}
	}

	keep(rest, need) {
		this.pieces = rest?.length ? [rest] : [];
		this.size = rest?.length ?? 0;
		this.need = need;
	}

	answered(answer) {
		if (this.skip > 0) {
			this.skip--;
			return;
		}
		const onAnswer = this.onAnswer;
		this.onAnswer = null;
		this.socket.unref();
		onAnswer(answer.status, answer.fields, answer.body);
	}
};

/*
 * The answer at the start of `bytes`: its status, header fields in lower case, body as text,
 * and how many bytes it `used`. Or { need }: the size to wait for.
 */
function parseAnswer(bytes) {
	const end = bytes.indexOf('\r\n\r\n');
	if (end < 0)
		return { need: bytes.length + 1 };
	const lines = bytes.toString('utf8', 0, end).split('\r\n');
	const fields = {};
	for (let i = 1; i < lines.length; i++) {
		const colon = lines[i].indexOf(':');
		fields[lines[i].slice(0, colon).toLowerCase()] = lines[i].slice(colon + 1).trim();
	}
	const status = Number(lines[0].slice(9, 12));
	const start = end + 4;
	if (fields['transfer-encoding'] !== undefined)
		return parseChunks(bytes, start, status, fields);
	const used = start + Number(fields['content-length'] ?? 0);
	if (bytes.length < used)
		return { need: used };
	return { status, fields, body: bytes.toString('utf8', start, used), used };
}

function parseChunks(bytes, start, status, fields) {
	const chunks = [];
	for (let at = start; ;) {
		const end = bytes.indexOf('\r\n', at);
		if (end < 0)
			return { need: bytes.length + 1 };
		const size = parseInt(bytes.toString('latin1', at, end), 16);
		at = end + 2;
		if (size === 0)
			return parseTrailers(bytes, at, { status, fields, body: Buffer.concat(chunks).toString() });
		if (bytes.length < at + size + 2)
			return { need: at + size + 2 };
		chunks.push(bytes.subarray(at, at + size));
		at += size + 2;
	}
}

function parseTrailers(bytes, at, answer) {
	for (;;) {
		const end = bytes.indexOf('\r\n', at);
		if (end < 0)
			return { need: bytes.length + 1 };
		if (end === at)
			return { ...answer, used: at + 2 };
		at = end + 2;
	}
}

function errorType(result) {
	return `Lambda-Runtime-Function-Error-Type: ${errors.fieldText(result.errorType)}\r\n`;
}

function escapeNonAscii(json) {
	return json.replace(/[\u007f-\uffff]/g,
		(c) => '\\u' + c.charCodeAt(0).toString(16).padStart(4, '0'));
}

function giveUp(reason) {
	console.error(`The Runtime API cannot be used: ${reason}`);
	process.exit(1);
}
