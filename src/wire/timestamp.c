/*
 * Calendar arithmetic of our own (days from a civil date and back, in eras of 400 years): no
 * locale, no time zone, no static buffers, the same on every machine. The years 1970 to 9999 are
 * what four digits and an unsigned millisecond can say; writing beyond shows the last of them.
 */
#include "wire/timestamp.h"

#include "base/attr.h"

#include <errno.h>

#define TIMESTAMP_MS_MAX 253402300799999ULL /* 9999-12-31T23:59:59.999Z */

struct civil {
	unsigned year, month, day; /* 1-12, 1-31 */
	unsigned hour, minute, second, milli;
	unsigned weekday; /* 0 = Sunday */
};

static const char timestamp_months[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul",
	"Aug", "Sep", "Oct", "Nov", "Dec" };
static const char timestamp_weekdays[7][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };

/* Days since 1970-01-01; the year is counted from March, so that the leap day is its last. */
static uint64_t civil_to_days(unsigned year, unsigned month, unsigned day)
{
	uint64_t y = month <= 2 ? year - 1 : year;
	uint64_t march_month = month > 2 ? month - 3 : month + 9;
	uint64_t of_year = (153 * march_month + 2) / 5 + day - 1;

	return y * 365 + y / 4 - y / 100 + y / 400 + of_year - 719468;
}

static struct civil civil_of(uint64_t ms)
{
	ms = MIN(ms, TIMESTAMP_MS_MAX);
	uint64_t days = ms / 86'400'000, rest = ms % 86'400'000;
	uint64_t shifted = days + 719468; /* since 0000-03-01 */
	uint64_t of_era = shifted % 146097;
	uint64_t year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	uint64_t of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	uint64_t march_month = (5 * of_year + 2) / 153;
	unsigned month = (unsigned)(march_month < 10 ? march_month + 3 : march_month - 9);

	return (struct civil){
		.year = (unsigned)(shifted / 146097 * 400 + year_of_era) + (month <= 2),
		.month = month,
		.day = (unsigned)(of_year - (153 * march_month + 2) / 5 + 1),
		.hour = (unsigned)(rest / 3'600'000),
		.minute = (unsigned)(rest / 60'000 % 60),
		.second = (unsigned)(rest / 1000 % 60),
		.milli = (unsigned)(rest % 1000),
		.weekday = (unsigned)((days + 4) % 7),
	};
}

void timestamp_put_lambda(struct buf *out, uint64_t ms)
{
	struct civil c = civil_of(ms);

	buf_putf(out, "%04u-%02u-%02uT%02u:%02u:%02u.%03u+0000", c.year, c.month, c.day, c.hour,
		c.minute, c.second, c.milli);
}

void timestamp_put_iso8601(struct buf *out, uint64_t ms, bool millis)
{
	struct civil c = civil_of(ms);

	buf_putf(out, "%04u-%02u-%02uT%02u:%02u:%02u", c.year, c.month, c.day, c.hour, c.minute,
		c.second);
	if (millis)
		buf_putf(out, ".%03u", c.milli);
	buf_put_char(out, 'Z');
}

void timestamp_put_http(struct buf *out, uint64_t ms)
{
	struct civil c = civil_of(ms);

	buf_putf(out, "%s, %02u %s %04u %02u:%02u:%02u GMT", timestamp_weekdays[c.weekday], c.day,
		timestamp_months[c.month - 1], c.year, c.hour, c.minute, c.second);
}

void timestamp_put_access(struct buf *out, uint64_t ms)
{
	struct civil c = civil_of(ms);

	buf_putf(out, "%02u/%s/%04u:%02u:%02u:%02u +0000", c.day, timestamp_months[c.month - 1],
		c.year, c.hour, c.minute, c.second);
}

void timestamp_put_date_path(struct buf *out, uint64_t ms)
{
	struct civil c = civil_of(ms);

	buf_putf(out, "%04u/%02u/%02u", c.year, c.month, c.day);
}

/* Exactly `digits` digits at the start of *rest, at most `max`; they are taken off. */
static bool timestamp_take(str *rest, size_t digits, unsigned max, unsigned *ret_value)
{
	uint64_t value;

	if (rest->len < digits || str_to_u64(str_slice(*rest, 0, digits), max, &value) < 0)
		return false;
	*rest = str_from(*rest, digits);
	*ret_value = (unsigned)value;
	return true;
}

/* This text at the start of *rest; it is taken off. */
static bool timestamp_take_text(str *rest, str text)
{
	if (!str_starts(*rest, text))
		return false;
	*rest = str_from(*rest, text.len);
	return true;
}

/* hh SEP mm SEP ss. */
static bool timestamp_take_time(str *rest, str separator, struct civil *civil)
{
	return timestamp_take(rest, 2, 23, &civil->hour) && timestamp_take_text(rest, separator) &&
		timestamp_take(rest, 2, 59, &civil->minute) &&
		timestamp_take_text(rest, separator) && timestamp_take(rest, 2, 59, &civil->second);
}

static bool civil_is_leap(unsigned year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

/* Is there such a day, and is it in our years? */
static bool civil_is_day(const struct civil *civil)
{
	static const uint8_t days[12] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

	if (civil->year < 1970 || civil->month < 1 || civil->month > 12 || civil->day < 1)
		return false;
	unsigned leap = civil->month == 2 && civil_is_leap(civil->year);
	return civil->day <= days[civil->month - 1] + leap;
}

static uint64_t civil_to_ms(const struct civil *civil)
{
	uint64_t days = civil_to_days(civil->year, civil->month, civil->day);
	uint64_t seconds = ((days * 24 + civil->hour) * 60 + civil->minute) * 60 + civil->second;

	return seconds * 1000 + civil->milli;
}

/* ".123…": digits beyond the third are dropped; no fraction is fine. */
static bool timestamp_take_fraction(str *rest, unsigned *ret_milli)
{
	unsigned milli = 0, digits = 0;

	if (!timestamp_take_text(rest, S("."))) {
		*ret_milli = 0;
		return true;
	}
	while (rest->len > 0 && rest->at[0] >= '0' && rest->at[0] <= '9') {
		if (digits++ < 3)
			milli = milli * 10 + (unsigned)(rest->at[0] - '0');
		*rest = str_from(*rest, 1);
	}
	for (unsigned i = digits; i < 3; i++)
		milli *= 10;
	*ret_milli = milli;
	return digits > 0 && digits <= 9;
}

/* "Z", "±hh:mm" or "±hhmm", to the end: minutes east of Greenwich. */
static bool timestamp_take_zone(str rest, int *ret_minutes)
{
	unsigned hours, minutes;

	if (str_eq(rest, S("Z"))) {
		*ret_minutes = 0;
		return true;
	}
	bool is_west = str_starts(rest, S("-"));
	if (!is_west && !str_starts(rest, S("+")))
		return false;
	rest = str_from(rest, 1);
	if (!timestamp_take(&rest, 2, 23, &hours))
		return false;
	(void)timestamp_take_text(&rest, S(":"));
	if (!timestamp_take(&rest, 2, 59, &minutes) || rest.len > 0)
		return false;

	int east = (int)(hours * 60 + minutes);
	*ret_minutes = is_west ? -east : east;
	return true;
}

static int timestamp_parse_iso8601(str rest, uint64_t *ret_ms)
{
	struct civil civil = {};
	int east;

	if (!timestamp_take(&rest, 4, 9999, &civil.year) || !timestamp_take_text(&rest, S("-")) ||
		!timestamp_take(&rest, 2, 12, &civil.month) ||
		!timestamp_take_text(&rest, S("-")) || !timestamp_take(&rest, 2, 31, &civil.day) ||
		!timestamp_take_text(&rest, S("T")) ||
		!timestamp_take_time(&rest, S(":"), &civil) ||
		!timestamp_take_fraction(&rest, &civil.milli) ||
		!timestamp_take_zone(rest, &east) || !civil_is_day(&civil))
		return -EINVAL;

	int64_t ms = (int64_t)civil_to_ms(&civil) - (int64_t)east * 60'000;
	if (ms < 0)
		return -EINVAL;
	*ret_ms = (uint64_t)ms;
	return 0;
}

/* The three letters at the start of *rest: which of the names; they are taken off. */
static bool timestamp_take_name(
	str *rest, const char (*names)[4], unsigned count, unsigned *ret_index)
{
	for (unsigned i = 0; i < count; i++) {
		if (timestamp_take_text(rest, str_of(names[i]))) {
			*ret_index = i;
			return true;
		}
	}
	return false;
}

/* RFC 9110 5.6.7, IMF-fixdate; the weekday must be the right one. */
static int timestamp_parse_http(str rest, uint64_t *ret_ms)
{
	struct civil civil = {};
	unsigned month;

	if (!timestamp_take_name(&rest, timestamp_weekdays, 7, &civil.weekday) ||
		!timestamp_take_text(&rest, S(", ")) || !timestamp_take(&rest, 2, 31, &civil.day) ||
		!timestamp_take_text(&rest, S(" ")) ||
		!timestamp_take_name(&rest, timestamp_months, 12, &month) ||
		!timestamp_take_text(&rest, S(" ")) ||
		!timestamp_take(&rest, 4, 9999, &civil.year) ||
		!timestamp_take_text(&rest, S(" ")) ||
		!timestamp_take_time(&rest, S(":"), &civil) || !str_eq(rest, S(" GMT")))
		return -EINVAL;

	civil.month = month + 1;
	if (!civil_is_day(&civil))
		return -EINVAL;
	uint64_t ms = civil_to_ms(&civil);
	if (civil_of(ms).weekday != civil.weekday)
		return -EINVAL;
	*ret_ms = ms;
	return 0;
}

int timestamp_parse(str text, uint64_t *ret_ms)
{
	bool is_iso8601 = text.len > 0 && text.at[0] >= '0' && text.at[0] <= '9';

	return is_iso8601 ? timestamp_parse_iso8601(text, ret_ms)
			  : timestamp_parse_http(text, ret_ms);
}

int timestamp_parse_basic(str text, uint64_t *ret_ms)
{
	struct civil civil = {};

	if (!timestamp_take(&text, 4, 9999, &civil.year) ||
		!timestamp_take(&text, 2, 12, &civil.month) ||
		!timestamp_take(&text, 2, 31, &civil.day) || !timestamp_take_text(&text, S("T")) ||
		!timestamp_take_time(&text, S(""), &civil) || !str_eq(text, S("Z")) ||
		!civil_is_day(&civil))
		return -EINVAL;

	*ret_ms = civil_to_ms(&civil);
	return 0;
}
