'use strict';
/*
 * A node that waits for its function. Everything that a start and a first invocation take is done
 * once with a function of ours; then the platform is asked for the environment of a function, and
 * when it comes, hours later perhaps, this process becomes that environment: its variables, its
 * folder (mounted meanwhile over the one where we are), and what `start` does for others.
 */
const Module = require('module');
const net = require('net');
const path = require('path');
const load = require('./load.cjs');

const DEFAULT_API = '127.0.0.1:9001';
const AWS_PATH = '/usr/local/bin:/usr/bin/:/bin:/opt/bin';
const REHEARSALS = 20;

/* What most functions or their SDKs load: here it costs nobody a start. */
const PRELOADED = ['assert', 'buffer', 'crypto', 'dns', 'events', 'fs/promises', 'http', 'https', 'os', 'querystring',
	'stream', 'string_decoder', 'timers', 'tls', 'url', 'util', 'zlib'];

/* ---- before there is a function ---- */

/* An answer as the platform sends it, over a real socket, without the platform. */
function exchange(RuntimeApi) {
	return new Promise((resolve) => {
		const server = net.createServer((socket) => {
			socket.on('data', () => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: application/json\r\n\r\n{}'));
		});
		server.on('error', resolve); // no sandbox, or a port is missing: then this is not warm
		server.listen(0, '127.0.0.1', () => {
			const api = new RuntimeApi(`127.0.0.1:${server.address().port}`);
			api.next('', () => {
				api.socket.destroy();
				server.close(resolve);
			});
		});
	});
}

/* What become() and bootstrap.cjs do with a function's environment, with our own. */
function rehearseEnvironment({ log, watchErrors }) {
	const nothing = () => {};
	const own = Object.entries(process.env);
	for (let i = 0; i < REHEARSALS; i++) {
		replaceEnvironment([...own, ['MAYFLY_REHEARSAL', i]].map((entry) => entry.join('=')).join('\0'));
		setPaths(process.env);
	}
	replaceEnvironment(own.map((entry) => entry.join('=')).join('\0'));
	process.chdir(process.cwd());
	log.patchConsole(false); // it is patched again
	watchErrors(null);
	process.on('beforeExit', nothing);
	for (const event of ['beforeExit', 'uncaughtException', 'unhandledRejection'])
		process.removeAllListeners(event);
}

async function rehearse(parts) {
	const { RuntimeApi, context, serialize, Invocation } = parts;
	for (const name of PRELOADED)
		require(name);
	await exchange(RuntimeApi);
	rehearseEnvironment(parts);
	await load(__dirname, 'rehearsal_module.handler', true); // the loader of ES modules, and its threads
	const handler = await load(__dirname, 'rehearsal.handler', true);
	const api = new RuntimeApi(DEFAULT_API);
	const fields = {
		'lambda-runtime-aws-request-id': '00000000-0000-0000-0000-000000000000',
		'lambda-runtime-invoked-function-arn': 'arn:aws:lambda:us-east-1:000000000000:function:f',
		'lambda-runtime-deadline-ms': '1',
	};
	const body = '{"names":["a","b"],"numbers":[1,2.5,null,true],"text":"\\u00e9"}';
	for (let i = 0; i < REHEARSALS; i++) {
		api.response(fields['lambda-runtime-aws-request-id'], serialize(await handler(JSON.parse(body), context.make(fields, true))));
		await new Promise((resolve) => {
			new Invocation(api, fields, resolve).run(handler, body);
		});
	}
	delete require.cache[path.join(__dirname, 'rehearsal.cjs')];
	delete globalThis.awslambda;
	// What is young is looked at again and again: what stays is old after two collections, and the next is far.
	for (let i = 0; i < 2; i++)
		globalThis.gc?.({ type: 'minor' });
}

/* ---- when there is one ---- */

/*
 * What does not change is not touched: at each change of TZ, also at its removal, node looks for the
 * host's time zone anew, in thousands of files.
 */
function replaceEnvironment(block) {
	const wanted = new Map();
	for (const word of block.split('\0')) {
		const equals = word.indexOf('=');
		if (equals > 0)
			wanted.set(word.slice(0, equals), word.slice(equals + 1));
	}
	for (const name of Object.keys(process.env))
		if (!wanted.has(name))
			delete process.env[name];
	for (const [name, value] of wanted)
		if (process.env[name] !== value)
			process.env[name] = value;
}

/* As `start` does it, see there. */
function setPaths(env) {
	const wanted = /^AWS_Lambda_nodejs(\d+)/.exec(env.AWS_EXECUTION_ENV ?? '')?.[1] ?? '';
	env.NODE_PATH ||= `/opt/nodejs/node${wanted}/node_modules:/opt/nodejs/node_modules:${__dirname}/node_modules`;
	Module._initPaths(); // it was read at the start
	if (env.PATH === AWS_PATH)
		env.PATH = `${path.dirname(process.execPath)}:${AWS_PATH}`;
}

/* Wait for a function and become its environment: resolves to the connection that serves it. */
async function become(parts) {
	await rehearse(parts);
	const api = new parts.RuntimeApi(process.env.AWS_LAMBDA_RUNTIME_API ?? DEFAULT_API);
	const block = await new Promise((resolve) => {
		api.ask('mayfly/stem', (status, _, body) => {
			if (status !== 200)
				process.exit(1); // the platform is gone, or wants no stem
			resolve(body);
		});
	});
	replaceEnvironment(block);
	process.chdir(process.env.LAMBDA_TASK_ROOT);
	setPaths(process.env);
	return api;
}

module.exports = { become };
