#pragma once
/* What each byte may be part of, shared by the parsers of heads and of chunked bodies. */
#include <stdbool.h>
#include <stdint.h>

enum http_class {
	HTTP_TOKEN = 1,	 /* tchar: methods and field names */
	HTTP_VALUE = 2,	 /* field values: visible, obs-text, space and tab */
	HTTP_TARGET = 4, /* request targets */
	HTTP_HOST = 8,	 /* the value of Host */
};

extern const uint8_t http_classes[256];

/* Is this byte in the class? */
[[nodiscard]] static inline bool http_is(char c, enum http_class wanted)
{
	return http_classes[(unsigned char)c] & wanted;
}
