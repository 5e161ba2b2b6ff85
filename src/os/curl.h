#pragma once
/*
 * libcurl, when it is needed: it brings some two dozen libraries along, which cost an idle daemon megabytes and each
 * start of a program milliseconds.
 */
#include <curl/curl.h>

/* What of libcurl is used here; the members are its functions. */
struct curl_functions {
	typeof(curl_easy_init) *easy_init;
	typeof(curl_easy_setopt) *easy_setopt;
	typeof(curl_easy_perform) *easy_perform;
	typeof(curl_easy_getinfo) *easy_getinfo;
	typeof(curl_easy_strerror) *easy_strerror;
	typeof(curl_easy_cleanup) *easy_cleanup;
	typeof(curl_multi_init) *multi_init;
	typeof(curl_multi_add_handle) *multi_add_handle;
	typeof(curl_multi_remove_handle) *multi_remove_handle;
	typeof(curl_multi_perform) *multi_perform;
	typeof(curl_multi_poll) *multi_poll;
	typeof(curl_multi_wakeup) *multi_wakeup;
	typeof(curl_multi_info_read) *multi_info_read;
	typeof(curl_multi_cleanup) *multi_cleanup;
	typeof(curl_slist_append) *slist_append;
	typeof(curl_slist_free_all) *slist_free_all;
};

/*
 * The library, loaded at the first call and kept. NULL, with a line in the log, when it cannot be had; asked again, the
 * answer is the same. May block. Safe from any thread.
 */
[[nodiscard]] const struct curl_functions *curl_load(void);
