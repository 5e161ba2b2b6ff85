# frozen_string_literal: true

# What a handler gets as `context:`. The names are AWS's.
class LambdaContext
  TRACE_FIELDS = %w[traceparent tracestate baggage].freeze

  attr_reader :aws_request_id, :invoked_function_arn, :log_group_name, :log_stream_name,
              :function_name, :memory_limit_in_mb, :function_version, :identity, :client_context,
              :deadline_ms, :tenant_id

  def initialize(request)
    @deadline_ms = request['Lambda-Runtime-Deadline-Ms'].to_i
    @aws_request_id = request['Lambda-Runtime-Aws-Request-Id']
    @invoked_function_arn = request['Lambda-Runtime-Invoked-Function-Arn']
    @tenant_id = request['Lambda-Runtime-Aws-Tenant-Id']
    @log_group_name = ENV['AWS_LAMBDA_LOG_GROUP_NAME']
    @log_stream_name = ENV['AWS_LAMBDA_LOG_STREAM_NAME']
    @function_name = ENV['AWS_LAMBDA_FUNCTION_NAME']
    @memory_limit_in_mb = ENV['AWS_LAMBDA_FUNCTION_MEMORY_SIZE']
    @function_version = ENV['AWS_LAMBDA_FUNCTION_VERSION']
    @identity = parsed(request['Lambda-Runtime-Cognito-Identity'])
    @client_context = parsed(request['Lambda-Runtime-Client-Context'])
    @trace_fields = take_trace_fields
  end

  def get_remaining_time_in_millis
    [@deadline_ms - Process.clock_gettime(Process::CLOCK_REALTIME, :millisecond), 0].max
  end

  # The W3C trace context of the invocation: traceparent, tracestate, baggage.
  def w3c
    @trace_fields.dup
  end

  private

  def parsed(text)
    JSON.parse(text) if text && !text.empty?
  end

  # The platform puts them into the client context: there they are not the caller's.
  def take_trace_fields
    fields = @client_context.delete('w3c') if @client_context.is_a?(Hash)
    fields.is_a?(Hash) ? fields.slice(*TRACE_FIELDS).select { |_, value| value.is_a?(String) } : {}
  end
end
