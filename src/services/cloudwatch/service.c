/* The table of what exists. What AWS's model has beyond it is answered by the front. */
#include "services/cloudwatch/service.h"

#include "base/attr.h"
#include "services/cloudwatch/operations.h"

static const struct call_route routes[] = {
	{ "GetMetricData", op_get_metric_data },
	{ "GetMetricStatistics", op_get_metric_statistics },
	{ "ListMetrics", op_list_metrics },
	{ "PutMetricData", op_put_metric_data },
};

const struct call_service cloudwatch_service = {
	.model = &aws_service_cloudwatch,
	.routes = routes,
	.route_count = ARRAY_LEN(routes),
	.validation_code = "ValidationError",
};
