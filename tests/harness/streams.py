"""A function that streams as it is told to."""

# One function does it all: `steps` say what is written, and what happens in between.
STEPS = """
const crypto = require('crypto');
const http = require('http');
const crash = () => process.kill(process.pid, 'SIGKILL');
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/* A GET with the function's credentials: "you must URI-encode each path segment twice". */
function signed(path) {
	const { AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION } = process.env;
	const hash = (text) => crypto.createHash('sha256').update(text).digest('hex');
	const hmac = (key, text) => crypto.createHmac('sha256', key).update(text).digest();
	const now = new Date().toISOString().replace(/[-:]|\\.\\d+/g, '');
	const scope = [now.slice(0, 8), AWS_REGION, 'lambda', 'aws4_request'];
	const fields = { host: '127.0.0.1:4566', 'x-amz-date': now, 'x-amz-security-token': AWS_SESSION_TOKEN };
	const names = Object.keys(fields).join(';');
	const lines = Object.entries(fields).map(([name, value]) => `${name}:${value}`);
	const twice = path.split('/').map(encodeURIComponent).join('/');
	const text = hash(['GET', twice, '', ...lines, '', names, hash('')].join('\\n'));
	const key = scope.reduce(hmac, 'AWS4' + AWS_SECRET_ACCESS_KEY);
	const signature = hmac(key, ['AWS4-HMAC-SHA256', now, scope.join('/'), text].join('\\n')).toString('hex');
	return { ...fields, Authorization: `AWS4-HMAC-SHA256 Credential=${AWS_ACCESS_KEY_ID}/${scope.join('/')}, ` +
		`SignedHeaders=${names}, Signature=${signature}` };
}

/* Wait until this function has the tag: the sign of a client, over the endpoint that functions have. */
async function tagged(context, key) {
	const path = `/2017-03-31/tags/${encodeURIComponent(context.invokedFunctionArn)}`;
	for (;;) {
		const headers = signed(path);
		const text = await new Promise((resolve, reject) => {
			http.get({ host: '127.0.0.1', port: 4566, path, headers }, (answer) => {
				let body = '';
				answer.on('data', (data) => { body += data; }).on('end', () => resolve(body));
			}).on('error', reject);
		});
		if (key in (JSON.parse(text).Tags ?? {}))
			return;
		await sleep(20);
	}
}

async function write(stream, bytes) {
	const block = Buffer.alloc(65536, 'x');
	for (let left = bytes; left > 0; left -= block.length)
		if (!stream.write(block.subarray(0, Math.min(left, block.length))))
			await new Promise((resolve) => stream.once('drain', resolve));
}

exports.handler = awslambda.streamifyResponse(async (given, stream, context) => {
	const event = given.steps ? given : JSON.parse(given.body);
	if (event.type)
		stream.setContentType(event.type);
	if (event.prelude)
		stream = awslambda.HttpResponseStream.from(stream, event.prelude);
	for (const step of event.steps) {
		if (step.write !== undefined) await new Promise((resolve) => stream.write(step.write, resolve));
		if (step.bytes) await write(stream, step.bytes);
		if (step.wait) await tagged(context, step.wait);
		if (step.sleep) await sleep(step.sleep);
		if (step.log) console.log(step.log);
		if (step.fail) throw new RangeError(step.fail);
		if (step.crash) { crash(); await sleep(60000); }
	}
	stream.end();
});
"""
