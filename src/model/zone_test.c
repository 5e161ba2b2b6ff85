#include "model/zone.h"

#include "base/test.h"

static void check_id(str region, str id)
{
	char text[64];
	struct buf out;

	buf_init_over(&out, text, sizeof(text));
	zone_put_id(&out, region);
	CHECK_STR(buf_str(&out), id);
	CHECK(!out.err);
}

static void test_a_zone_has_the_initials_of_its_region(void)
{
	check_id(S("us-east-1"), S("use1-az1"));
	check_id(S("us-west-2"), S("usw2-az1"));
	check_id(S("eu-central-1"), S("euc1-az1"));
	check_id(S("ap-northeast-3"), S("apne3-az1"));
	check_id(S("ap-southeast-2"), S("apse2-az1"));
	check_id(S("af-south-1"), S("afs1-az1"));
	check_id(S("cn-northwest-1"), S("cnnw1-az1"));
	check_id(S("us-gov-west-1"), S("usgw1-az1"));
}

static void test_a_region_that_aws_has_not_keeps_its_words(void)
{
	check_id(S("here"), S("here-az1"));
	check_id(S("my-cellar-1"), S("mycellar1-az1"));
	check_id(S("--"), S("-az1"));
}

static void test_it_stays_within_its_bounds(void)
{
	char text[8];
	struct buf out;

	buf_init_over(&out, text, sizeof(text));
	zone_put_id(&out, S("ap-northeast-1"));
	CHECK(out.err);
}

TESTS(TEST(test_a_zone_has_the_initials_of_its_region),
	TEST(test_a_region_that_aws_has_not_keeps_its_words), TEST(test_it_stays_within_its_bounds))
