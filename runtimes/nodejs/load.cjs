'use strict';
/*
 * From a handler's name to the function: `dir/file.export.nested`. Files are tried in AWS's
 * order: FILE, FILE.js (as an ES module when its package says so), FILE.mjs, FILE.cjs, the
 * folder FILE, then node's own resolution, which finds packages in layers.
 */
const fs = require('fs');
const path = require('path');
const { createRequire } = require('module');
const { pathToFileURL } = require('url');
const errors = require('./errors.cjs');
const stream = require('./stream.cjs');

/* The name that AWS's client has in "Require stack" of error messages. */
const requireFrom = createRequire('/var/runtime/index.mjs');

function isModulePackage(folder) {
	if (path.basename(folder) === 'node_modules')
		return false;
	const file = path.join(folder, 'package.json');
	if (fs.existsSync(file)) {
		try {
			return JSON.parse(fs.readFileSync(file, 'utf8'))?.type === 'module';
		} catch (error) {
			console.warn(`${file} cannot be read, so its "type" is not known:`, error);
			return false;
		}
	}
	return folder !== '/' && isModulePackage(path.dirname(folder));
}

/* What cannot be required because it is an ES module: the modern client takes it all the same. */
const NEEDS_IMPORT = ['ERR_REQUIRE_ESM', 'ERR_REQUIRE_ASYNC_MODULE'];

async function loadScript(file, modern) {
	try {
		return requireFrom(file);
	} catch (error) {
		if (modern && NEEDS_IMPORT.includes(error?.code))
			return import(pathToFileURL(file));
		throw error;
	}
}

async function loadModule(root, folder, name, modern) {
	const file = path.resolve(root, folder, name);
	const found = fs.statSync(file, { throwIfNoEntry: false });
	if (found?.isFile())
		return requireFrom(file);
	if (fs.existsSync(`${file}.js`)) {
		if (isModulePackage(path.dirname(file)))
			return import(pathToFileURL(`${file}.js`));
		return loadScript(`${file}.js`, modern);
	}
	if (fs.existsSync(`${file}.mjs`))
		return import(pathToFileURL(`${file}.mjs`));
	if (fs.existsSync(`${file}.cjs`))
		return requireFrom(`${file}.cjs`);
	if (found) // a folder with an index.js or a package.json
		return requireFrom(file);
	return requireFrom(requireFrom.resolve(name, { paths: [root, path.resolve(root, folder)] }));
}

function find(module, names) {
	return names.split('.').reduce((value, name) => value?.[name], module);
}

async function loadUserModule(root, folder, name, modern) {
	try {
		return await loadModule(root, folder, name, modern);
	} catch (error) {
		if (error instanceof SyntaxError)
			throw new errors.UserCodeSyntaxError(error);
		if (error?.code === 'MODULE_NOT_FOUND')
			throw new errors.ImportModuleError(error);
		throw error;
	}
}

module.exports = async function load(root, handler, modern) {
	if (handler.includes('..'))
		throw new errors.MalformedHandlerName(
			`'${handler}' is not a valid handler name. Use absolute paths when specifying root ` +
			'directories in handler names.');
	const file = path.basename(handler);
	const folder = handler.slice(0, handler.indexOf(file));
	const names = /^([^.]*)\.(.*)$/.exec(file);
	if (!names)
		throw new errors.MalformedHandlerName('Bad handler');

	stream.declareGlobals();
	const module = await loadUserModule(root, folder, names[1], modern);
	const result = find(module, names[2]) || (modern && find(module?.default, names[2]));
	if (!result)
		throw new errors.HandlerNotFound(`${handler} is undefined or not exported`);
	if (typeof result !== 'function')
		throw new errors.HandlerNotFound(`${handler} is not a function`);
	return result;
};
