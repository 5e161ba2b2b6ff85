/* Names of functions in every form, and of layers: the parts lie in the text, and put together they are its parts again. */
#include "fuzz.h"

#include "model/arn.h"

#include <errno.h>

static void fuzz_layer(str text)
{
	struct layer_name name;

	int r = layer_name_parse(text, &name);
	HOLDS(r == 0 || r == -EINVAL);
	if (r != 0)
		return;
	HOLDS(fuzz_is_inside(name.account, text) && fuzz_is_inside(name.region, text));
	HOLDS(fuzz_is_inside(name.name, text) && fuzz_is_inside(name.version, text));
	HOLDS(name.account.len && name.region.len && name.name.len);
	HOLDS(str_find(name.name, ':') < 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	str text = { (const char *)data, size };
	struct function_name name, again;
	struct buf whole;

	(void)qualifier_kind(text);
	fuzz_layer(text);
	int r = function_name_parse(text, &name);
	HOLDS(r == 0 || r == -EINVAL);
	if (r != 0)
		return 0;
	HOLDS(fuzz_is_inside(name.account, text) && fuzz_is_inside(name.region, text));
	HOLDS(fuzz_is_inside(name.name, text) && fuzz_is_inside(name.qualifier, text));
	if (!name.account.len || !name.region.len)
		return 0;
	const str parts[] = { S("arn:aws:lambda:"), name.region, S(":"), name.account,
		S(":function:"), name.name, name.qualifier.len ? S(":") : S(""), name.qualifier };
	buf_init(&whole, size + 64);
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		buf_put(&whole, parts[i]);
	HOLDS(!whole.err && function_name_parse(buf_str(&whole), &again) == 0);
	HOLDS(str_eq(again.account, name.account) && str_eq(again.region, name.region));
	HOLDS(str_eq(again.name, name.name) && str_eq(again.qualifier, name.qualifier));
	buf_done(&whole);
	return 0;
}
