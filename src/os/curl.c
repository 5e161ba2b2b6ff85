/*
 * The name is that of libcurl's ABI, which has been the same since 2006; what a distribution calls the package does not
 * matter. A weak symbol would not do: the libraries are loaded before main() for these, too.
 */
#include "os/curl.h"

#include "base/attr.h"
#include "base/log.h"

#include <assert.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stddef.h>

static struct curl_functions functions;
static bool is_loaded;

static const struct {
	const char *name;
	size_t at;
} curl_symbols[] = {
	{ "curl_easy_init", offsetof(struct curl_functions, easy_init) },
	{ "curl_easy_setopt", offsetof(struct curl_functions, easy_setopt) },
	{ "curl_easy_perform", offsetof(struct curl_functions, easy_perform) },
	{ "curl_easy_getinfo", offsetof(struct curl_functions, easy_getinfo) },
	{ "curl_easy_strerror", offsetof(struct curl_functions, easy_strerror) },
	{ "curl_easy_cleanup", offsetof(struct curl_functions, easy_cleanup) },
	{ "curl_multi_init", offsetof(struct curl_functions, multi_init) },
	{ "curl_multi_add_handle", offsetof(struct curl_functions, multi_add_handle) },
	{ "curl_multi_remove_handle", offsetof(struct curl_functions, multi_remove_handle) },
	{ "curl_multi_perform", offsetof(struct curl_functions, multi_perform) },
	{ "curl_multi_poll", offsetof(struct curl_functions, multi_poll) },
	{ "curl_multi_wakeup", offsetof(struct curl_functions, multi_wakeup) },
	{ "curl_multi_info_read", offsetof(struct curl_functions, multi_info_read) },
	{ "curl_multi_cleanup", offsetof(struct curl_functions, multi_cleanup) },
	{ "curl_slist_append", offsetof(struct curl_functions, slist_append) },
	{ "curl_slist_free_all", offsetof(struct curl_functions, slist_free_all) },
};

/* Each function of the struct has its row. */
static_assert(ARRAY_LEN(curl_symbols) == sizeof(functions) / sizeof(void *));

static void curl_load_once(void)
{
	typeof(CURLcode(long)) *global_init;
	void *library = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
	void *symbol = library ? dlsym(library, "curl_global_init") : NULL;

	global_init = (typeof(global_init))symbol;
	bool is_whole = global_init && global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
	for (size_t i = 0; is_whole && i < ARRAY_LEN(curl_symbols); i++) {
		symbol = dlsym(library, curl_symbols[i].name);
		*(void **)((char *)&functions + curl_symbols[i].at) = symbol;
		is_whole = symbol != NULL;
	}
	is_loaded = is_whole;
	if (is_whole)
		return;
	const char *why = dlerror();
	log_error("libcurl_missing", LOG_TEXT("why", why ? why : "it does not begin"),
		LOG_TEXT("hint",
			"install libcurl.so.4 (Debian: libcurl4): destinations and the command line need it"));
}

const struct curl_functions *curl_load(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	(void)pthread_once(&once, curl_load_once);
	return is_loaded ? &functions : NULL;
}
