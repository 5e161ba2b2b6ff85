#pragma once
/* Small macros that the language lacks. */

#define ARRAY_LEN(array) (sizeof(array) / sizeof((array)[0]))
#define BIT(n)		 (1U << (n))
#define MIN(a, b)	 ((a) < (b) ? (a) : (b))
#define MAX(a, b)	 ((a) > (b) ? (a) : (b))

#define KIB 1024ULL
#define MIB (1024ULL * KIB)
#define GIB (1024ULL * MIB)
