#include "os/curl.h"

#include "base/str.h"
#include "base/test.h"

#include <dlfcn.h>

static void test_is_not_loaded_before_it_is_needed(void)
{
	CHECK(!dlopen("libcurl.so.4", RTLD_NOW | RTLD_NOLOAD));

	const struct curl_functions *curl = curl_load();
	CHECK(curl);
	CHECK(dlopen("libcurl.so.4", RTLD_NOW | RTLD_NOLOAD));
	CHECK(curl_load() == curl);
}

static void test_its_functions_are_the_ones_that_are_named(void)
{
	const struct curl_functions *curl = curl_load();
	struct curl_slist *list = curl->slist_append(NULL, "a: b");

	CHECK(list && str_eq(str_of(list->data), S("a: b")));
	curl->slist_free_all(list);
	CURL *handle = curl->easy_init();
	CHECK(handle);
	CHECK(curl->easy_setopt(handle, CURLOPT_URL, "nothing://x") == CURLE_OK);
	CURLcode code = curl->easy_perform(handle);
	CHECK(code == CURLE_UNSUPPORTED_PROTOCOL);
	CHECK(str_of(curl->easy_strerror(code)).len > 0);
	long status = -1;
	CHECK(curl->easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &status) == CURLE_OK);
	CHECK(status == 0);
	curl->easy_cleanup(handle);
}

TESTS(TEST(test_is_not_loaded_before_it_is_needed),
	TEST(test_its_functions_are_the_ones_that_are_named))
