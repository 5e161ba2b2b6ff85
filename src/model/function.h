#pragma once
/*
 * A function as the engine runs it: immutable snapshots of one version's configuration,
 * counted by reference because invocations, environments and the directory hold the same
 * one for different lengths of time, on the loop thread and on workers.
 */
#include "base/str.h"

#include <stdatomic.h>

enum function_state { FUNCTION_PENDING, FUNCTION_ACTIVE, FUNCTION_INACTIVE, FUNCTION_FAILED };

struct function_version {
	_Atomic unsigned refs;
	str account;
	str region;
	str name;
	str version;  /* "$LATEST" or "7" */
	str revision; /* changes with every change of code or configuration */
	str arn;      /* of the function, without a qualifier */
	str runtime;
	str handler;
	str role;
	str log_group;
	str log_level_app;    /* "INFO"; empty in text format */
	str log_level_system; /* "INFO"; empty in text format */
	str snapshot;	      /* the image that its environments are restored from; empty: none */
	bool has_snap_start;  /* a published version that wants a snapshot */
	bool has_extensions;  /* a layer of it has external extensions */
	bool log_is_json;
	bool is_traced;	    /* TracingConfig Active */
	bool is_per_tenant; /* TenancyConfig: no environment of it serves two tenants */
	bool may_loop;	    /* RecursiveLoop Allow */
	enum function_state state;
	uint32_t memory_mb;
	uint32_t timeout_ms;
	uint32_t tmp_mb;
	uint64_t payload_max; /* bytes of an event and of an answer */
	uint8_t code[32];     /* SHA-256 of the ZIP */
	uint8_t layers[5][32];
	uint32_t layer_count;
	str *env; /* "NAME=value", the function's own */
	uint32_t env_count;
	str *memory; /* what the views above point into, one block; freed with the object */
	uint32_t memory_count;
};

/* A new one with one reference and copies of all views of `from` (refs and memory ignored), or NULL. */
[[nodiscard]] struct function_version *function_version_new(const struct function_version *from);
struct function_version *function_version_ref(struct function_version *version);
/* Drops one reference; the last one frees. Any thread. NULL is fine. */
void function_version_unref(struct function_version *version);

/*
 * What a name with its qualifier leads to: one version, or for an alias with routing two.
 */
struct function_target {
	struct function_version *version; /* owned references */
	struct function_version *other;	  /* NULL without routing */
	uint32_t other_per_million;	  /* the weight of `other` */
	int32_t reserved_concurrency;	  /* of the function; -1: none */
	uint32_t set_aside; /* of the account in this region, see engine_set_aside() */
	uint64_t set_aside_revision;
	str alias; /* the qualifier when it is an alias; owned by the target's memory */
	char alias_text[129];
};

/* Drops the references of the versions and frees. NULL is fine. */
void function_target_free(struct function_target *target);
