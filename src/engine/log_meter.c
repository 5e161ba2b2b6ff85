#include "engine/log_meter.h"

#include "base/attr.h"

static uint64_t meter_size(const struct log_meter *meter)
{
	return meter->rate * LOG_METER_SECONDS;
}

void log_meter_init(struct log_meter *meter, uint64_t rate, uint64_t now_ms)
{
	*meter = (struct log_meter){ .rate = rate, .at_ms = now_ms };
	meter->level = meter_size(meter);
}

static void meter_fill(struct log_meter *meter, uint64_t now_ms)
{
	uint64_t passed_ms = MIN(now_ms - meter->at_ms, LOG_METER_SECONDS * 1000ULL);

	meter->level = MIN(meter->level + meter->rate * passed_ms / 1000, meter_size(meter));
	meter->at_ms = now_ms;
}

bool log_meter_take(struct log_meter *meter, size_t len, uint64_t now_ms, bool is_pressed)
{
	uint64_t cost = len + LOG_METER_LINE_COST;
	uint64_t floor = is_pressed ? meter_size(meter) / 2 : 0;

	if (now_ms != meter->at_ms)
		meter_fill(meter, now_ms);
	if (meter->is_dropping)
		floor += meter->rate;
	meter->is_dropping = meter->level < floor + cost;
	if (meter->is_dropping) {
		meter->lines++;
		meter->bytes += len;
		return false;
	}
	meter->level -= cost;
	return true;
}

void log_meter_told(struct log_meter *meter)
{
	meter->lines = meter->bytes = 0;
}
