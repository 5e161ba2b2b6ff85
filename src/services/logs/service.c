/* The table of what exists. What AWS's model has beyond it is answered by the front. */
#include "services/logs/service.h"

#include "base/attr.h"
#include "services/logs/operations.h"

extern const struct aws_service aws_service_logs;

static const struct call_route logs_routes[] = {
	{ "CreateLogGroup", op_create_log_group },
	{ "CreateLogStream", op_create_log_stream },
	{ "DeleteLogGroup", op_delete_log_group },
	{ "DeleteLogStream", op_delete_log_stream },
	{ "DeleteRetentionPolicy", op_delete_retention_policy },
	{ "DescribeLogGroups", op_describe_log_groups },
	{ "DescribeLogStreams", op_describe_log_streams },
	{ "FilterLogEvents", op_filter_log_events },
	{ "GetLogEvents", op_get_log_events },
	{ "ListTagsForResource", op_list_tags_for_resource },
	{ "ListTagsLogGroup", op_list_tags_log_group },
	{ "PutLogEvents", op_put_log_events },
	{ "PutLogGroupDeletionProtection", op_put_log_group_deletion_protection },
	{ "PutRetentionPolicy", op_put_retention_policy },
	{ "TagLogGroup", op_tag_log_group },
	{ "TagResource", op_tag_resource },
	{ "UntagLogGroup", op_untag_log_group },
	{ "UntagResource", op_untag_resource },
};

const struct call_service logs_service = {
	.model = &aws_service_logs,
	.routes = logs_routes,
	.route_count = ARRAY_LEN(logs_routes),
	.validation_code = "InvalidParameterException",
};
