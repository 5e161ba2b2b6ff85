// check.mjs SCHEMA: is the event on standard input what its schema says? Every key has to be one that the schema knows.
import { readFileSync } from 'node:fs';
import * as schemas from '@aws-lambda-powertools/parser/schemas';

const unknown = (event, parsed, path = '') =>
	event === null || typeof event !== 'object'
		? []
		: Object.keys(event).flatMap((key) =>
				parsed && key in parsed ? unknown(event[key], parsed[key], `${path}.${key}`) : [`${path}.${key}`],
			);

const event = JSON.parse(readFileSync(0, 'utf8'));
const left = unknown(event, schemas[process.argv[2]].parse(event));
if (left.length) throw new Error(`not in the schema: ${left.join(', ')}`);
console.log('ok');
