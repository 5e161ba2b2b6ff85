// A function's life through the AWS SDK for JavaScript v3: flow.mjs NAME ZIP-V1 ZIP-V2.
// Prints one line "ok" when everything was as it should be.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import {
	AddPermissionCommand, CreateAliasCommand, CreateFunctionCommand, DeleteFunctionCommand, GetFunctionCommand,
	GetPolicyCommand, InvokeCommand, InvokeWithResponseStreamCommand, LambdaClient, ListTagsCommand, PublishVersionCommand, PutFunctionConcurrencyCommand,
	ResourceConflictException, ResourceNotFoundException, TagResourceCommand, TooManyRequestsException,
	UpdateFunctionCodeCommand, paginateListVersionsByFunction, waitUntilFunctionActiveV2, waitUntilFunctionUpdatedV2,
} from '@aws-sdk/client-lambda';
import { CloudWatchLogsClient, FilterLogEventsCommand } from '@aws-sdk/client-cloudwatch-logs';

const [name, first, second] = process.argv.slice(2);
const options = { maxAttempts: 1 };
const lambda = new LambdaClient(options);
const logs = new CloudWatchLogsClient(options);
const text = (bytes) => new TextDecoder().decode(bytes);
const wait = { client: lambda, maxWaitTime: 20, minDelay: 0.05, maxDelay: 0.2 };

const created = await lambda.send(new CreateFunctionCommand({
	FunctionName: name, Runtime: 'nodejs22.x', Handler: 'index.handler',
	Role: 'arn:aws:iam::000000000000:role/any', Code: { ZipFile: readFileSync(first) },
	Environment: { Variables: { GREETING: 'hello' } }, Tags: { made: 'by-sdk' },
}));
assert.equal(created.State, 'Pending');
await waitUntilFunctionActiveV2(wait, { FunctionName: name });

await assert.rejects(
	lambda.send(new CreateFunctionCommand({
		FunctionName: name, Runtime: 'nodejs22.x', Handler: 'index.handler',
		Role: 'arn:aws:iam::000000000000:role/any', Code: { ZipFile: readFileSync(first) },
	})),
	(error) => error instanceof ResourceConflictException && error.Type === 'User',
);
await assert.rejects(
	lambda.send(new GetFunctionCommand({ FunctionName: 'no-such-function' })),
	(error) => error instanceof ResourceNotFoundException && error.message.includes('Function not found: arn:aws:lambda:'),
);

const invoked = await lambda.send(new InvokeCommand({
	FunctionName: name, Payload: JSON.stringify({ who: 'wörld' }), LogType: 'Tail',
}));
assert.equal(invoked.StatusCode, 200);
assert.equal(invoked.ExecutedVersion, '$LATEST');
assert.deepEqual(JSON.parse(text(invoked.Payload)), { said: 'hello wörld' });
assert.match(Buffer.from(invoked.LogResult, 'base64').toString(), /\tINFO\tsaying hello wörld\n/);

const failed = await lambda.send(new InvokeCommand({ FunctionName: name, Payload: '{"fail": true}' }));
assert.equal(failed.FunctionError, 'Unhandled');
assert.equal(JSON.parse(text(failed.Payload)).errorType, 'RangeError');

const streamed = await lambda.send(new InvokeWithResponseStreamCommand({
	FunctionName: name, Payload: JSON.stringify({ who: 'stream' }), LogType: 'Tail',
}));
const pieces = [];
let complete;
for await (const item of streamed.EventStream) {
	if (item.PayloadChunk)
		pieces.push(text(item.PayloadChunk.Payload));
	complete = item.InvokeComplete ?? complete;
}
assert.deepEqual(JSON.parse(pieces.join('')), { said: 'hello stream' });
assert.equal(complete.ErrorCode, undefined);
assert.match(Buffer.from(complete.LogResult, 'base64').toString(), /\tINFO\tsaying hello stream\n/);

const event = await lambda.send(new InvokeCommand({ FunctionName: name, InvocationType: 'Event', Payload: '{"who":"later"}' }));
assert.equal(event.StatusCode, 202);

const version = await lambda.send(new PublishVersionCommand({ FunctionName: name }));
assert.equal(version.Version, '1');
await lambda.send(new UpdateFunctionCodeCommand({ FunctionName: name, ZipFile: readFileSync(second) }));
await waitUntilFunctionUpdatedV2(wait, { FunctionName: name });
await lambda.send(new CreateAliasCommand({ FunctionName: name, Name: 'live', FunctionVersion: '1' }));
const answers = [];
for (const Qualifier of [undefined, '1', 'live'])
	answers.push(JSON.parse(text((await lambda.send(new InvokeCommand({ FunctionName: name, Qualifier, Payload: '{"who":"x"}' }))).Payload)));
assert.deepEqual(answers, [{ second: 'x' }, { said: 'hello x' }, { said: 'hello x' }]);

const versions = [];
for await (const page of paginateListVersionsByFunction({ client: lambda, pageSize: 1 }, { FunctionName: name }))
	versions.push(...page.Versions.map((v) => v.Version));
assert.deepEqual(versions, ['$LATEST', '1']);

await lambda.send(new TagResourceCommand({ Resource: created.FunctionArn, Tags: { more: 'tags' } }));
const { Tags } = await lambda.send(new ListTagsCommand({ Resource: created.FunctionArn }));
assert.deepEqual(Tags, { made: 'by-sdk', more: 'tags' });

await lambda.send(new AddPermissionCommand({
	FunctionName: name, StatementId: 's3', Action: 'lambda:InvokeFunction', Principal: 's3.amazonaws.com',
}));
const { Policy } = await lambda.send(new GetPolicyCommand({ FunctionName: name }));
assert.equal(JSON.parse(Policy).Statement[0].Sid, 's3');

await lambda.send(new PutFunctionConcurrencyCommand({ FunctionName: name, ReservedConcurrentExecutions: 0 }));
await assert.rejects(
	lambda.send(new InvokeCommand({ FunctionName: name })),
	(error) => error instanceof TooManyRequestsException &&
		error.Reason === 'ReservedFunctionConcurrentInvocationLimitExceeded',
);

const { Code } = await lambda.send(new GetFunctionCommand({ FunctionName: name }));
const download = Buffer.from(await (await fetch(Code.Location)).arrayBuffer());
assert.ok(download.equals(readFileSync(second)));

let found = [];
for (let i = 0; i < 50 && !found.length; i++) {
	const page = await logs.send(new FilterLogEventsCommand({ logGroupName: `/aws/lambda/${name}`, filterPattern: 'later' }));
	found = page.events;
	if (!found.length)
		await new Promise((resolve) => setTimeout(resolve, 100));
}
assert.match(found[0].message, /saying hello later/);

await lambda.send(new DeleteFunctionCommand({ FunctionName: name }));
await assert.rejects(
	lambda.send(new GetFunctionCommand({ FunctionName: name })),
	(error) => error instanceof ResourceNotFoundException,
);
console.log('ok');
