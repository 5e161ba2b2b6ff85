'use strict';
/* A function of ours, like many: stem.cjs loads and calls it while there is no other. */
class Thing {
	constructor(name) {
		this.name = name;
	}
}

exports.handler = async (event, context) => ({
	things: event.names.map((name) => new Thing(`hello ${name}`)),
	id: context.awsRequestId,
});
