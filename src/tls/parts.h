#pragma once
/* Inside of TLS. For nobody else. */
#include "tls/identity.h"

#include <openssl/ssl.h>

struct tls_identity {
	SSL_CTX *context;
	uint64_t begins_s, expires_s;
};
