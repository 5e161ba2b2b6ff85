/* Looking things up in a service's tables. Operations are sorted by name; members and errors are few. */
#include "aws/model.h"

const struct aws_operation *aws_operation_find(const struct aws_service *service, str name)
{
	size_t low = 0, high = service->operation_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = str_cmp(name, service->operations[middle].name);
		if (order == 0)
			return &service->operations[middle];
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

const struct aws_member *aws_member_find(const struct aws_shape *structure, str name)
{
	for (size_t i = 0; i < structure->member_count; i++) {
		if (str_eq(structure->members[i].name, name))
			return &structure->members[i];
	}
	return NULL;
}

const struct aws_shape *aws_error_find(const struct aws_service *service, str name)
{
	for (size_t i = 0; i < service->shape_count; i++) {
		const struct aws_shape *shape = &service->shapes[i];
		if (shape->is_error &&
			(str_eq(shape->name, name) || str_eq(shape->error_code, name)))
			return shape;
	}
	return NULL;
}
