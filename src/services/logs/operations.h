#pragma once
/* The handlers of CloudWatch Logs, one per operation; the rows are in service.c. */
#include "aws/call.h"

call_fn op_create_log_group, op_delete_log_group, op_describe_log_groups;
call_fn op_put_retention_policy, op_delete_retention_policy, op_put_log_group_deletion_protection;
call_fn op_create_log_stream, op_delete_log_stream, op_describe_log_streams;
call_fn op_put_log_events, op_get_log_events, op_filter_log_events;
call_fn op_list_tags_for_resource, op_tag_resource, op_untag_resource;
call_fn op_list_tags_log_group, op_tag_log_group, op_untag_log_group;
