/*
 * RFC 9110 5.6.2 (token), 5.5 (field values), RFC 3986 (host). A target may hold every
 * visible ASCII character but '#', which no client may send: more than RFC 3986 allows, for clients
 * that do not escape braces and the like; nothing in there can be mistaken for a delimiter.
 */
#include "wire/http_class.h"

enum {
	T = HTTP_TOKEN,
	V = HTTP_VALUE,
	P = HTTP_TARGET,
	H = HTTP_HOST,
};

const uint8_t http_classes[256] = {
	['\t'] = V,
	[' '] = V,
	['!'] = T | V | P | H,
	['"'] = V | P,
	['#'] = T | V,
	['$' ... '\''] = T | V | P | H,
	['(' ... ')'] = V | P | H,
	['*' ... '+'] = T | V | P | H,
	[','] = V | P | H,
	['-' ... '.'] = T | V | P | H,
	['/'] = V | P,
	['0' ... '9'] = T | V | P | H,
	[':' ... ';'] = V | P | H,
	['<'] = V | P,
	['='] = V | P | H,
	['>' ... '@'] = V | P,
	['A' ... 'Z'] = T | V | P | H,
	['['] = V | P | H,
	['\\'] = V | P,
	[']'] = V | P | H,
	['^'] = T | V | P,
	['_'] = T | V | P | H,
	['`'] = T | V | P,
	['a' ... 'z'] = T | V | P | H,
	['{'] = V | P,
	['|'] = T | V | P,
	['}'] = V | P,
	['~'] = T | V | P | H,
	[0x80 ... 0xff] = V,
};
