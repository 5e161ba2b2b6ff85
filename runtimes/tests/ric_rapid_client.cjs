'use strict';
/*
 * Stands in for the native addon of aws-lambda-ric (`rapid-client.node`), whose build needs a
 * C++ toolchain and a copy of curl: the rest of that package, which is what the tests compare
 * with, is JavaScript. Loaded with `node --require`. Reports are synchronous, as the addon's.
 */
const { spawnSync } = require('child_process');
const http = require('http');
const Module = require('module');

const api = process.env.AWS_LAMBDA_RUNTIME_API;

function post(path, body, fields) {
	const args = ['-s', '-X', 'POST', '--data-binary', '@-', '-H', 'Content-Type: application/json', '-H', 'Expect:'];
	for (const [name, value] of Object.entries(fields))
		args.push('-H', `${name}: ${value}`);
	const done = spawnSync('curl', [...args, `http://${api}/2018-06-01/runtime/invocation/${path}`], { input: body });
	if (done.status !== 0)
		throw new Error(`curl: ${done.status}`);
}

const addon = {
	next: () => new Promise((resolve, reject) => {
		http.get(`http://${api}/2018-06-01/runtime/invocation/next`, { agent: false }, (answer) => {
			let text = '';
			answer.setEncoding('utf8').on('data', (part) => {
				text += part;
			});
			answer.on('end', () => resolve({ bodyJson: text, headers: answer.headers }));
		}).on('error', reject);
	}),
	done: (id, body) => {
		if (typeof body !== 'string')
			throw new TypeError('Wrong arguments');
		post(`${id}/response`, body, {});
	},
	error: (id, body, cause) => post(`${id}/error`, body, { 'Lambda-Runtime-Function-XRay-Error-Cause': cause }),
};

const resolveFilename = Module._resolveFilename;
Module._resolveFilename = function (name, ...rest) {
	return name === './rapid-client.node' ? name : resolveFilename.call(this, name, ...rest);
};
const load = Module._load;
Module._load = function (name, ...rest) {
	return name === './rapid-client.node' ? addon : load.call(this, name, ...rest);
};
