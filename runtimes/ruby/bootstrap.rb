# frozen_string_literal: true

# The Ruby side of the Lambda Runtime API: load the handler, then for ever take an event, call
# the handler, report its result. What the handler can see (errors, context, logs, names of
# classes) follows AWS's own runtime client, aws_lambda_ric.
#
# RubyGems and net/http, which AWS's client loads first, take five times as long as Ruby itself
# to start. Neither is needed to talk to the Runtime API; functions find them all the same.

module Mayfly
  HERE = __dir__.freeze
end

require_relative 'mayfly_environment'
Mayfly::Environment.prepare
require_relative 'mayfly_gems'
Mayfly::Gems.prepare
require 'json'
require 'stringio'
require 'time'
require_relative 'mayfly_api'
require_relative 'mayfly_errors'
require_relative 'mayfly_log'
require_relative 'lambda_context'
require_relative 'lambda_handler'

module Mayfly
  # The life of one environment.
  class Runtime
    EXIT_INIT = -4
    EXIT_CRITICAL = -1

    def initialize
      @api = Api.new(ENV.fetch('AWS_LAMBDA_RUNTIME_API'))
    end

    def run
      serve(load_handler)
    end

    private

    def load_handler
      root = Dir.pwd
      $LOAD_PATH.unshift(root) unless $LOAD_PATH.include?(root)
      handler = LambdaHandler.new(env_handler: ENV.fetch('_HANDLER'))
      require handler.handler_file_name
      handler
    rescue Exception => e # the function's file may raise anything, an exit too
      report = ErrorReport.new(e, 'Init')
      report.log('Init error when loading handler ')
      @api.post(@api.init_error(report))
      exit(EXIT_INIT)
    end

    def serve(handler)
      report = ''
      loop do
        request = @api.next(report)
        report = answer(handler, request)
      end
    end

    # The report of one invocation. An error that is the platform's to see, or one that leaves
    # the process in doubt, ends it: AWS's client does so for these classes.
    def answer(handler, request)
      id = request['Lambda-Runtime-Aws-Request-Id']
      begin_invocation(request, id)
      body, type = handler.call(request)
      @api.response(id, body, type)
    rescue StandardError => e
      return fail_critically(e, id) if e.is_a?(NameError)

      @api.invocation_error(id, logged(e, 'Error raised from handler method'))
    rescue Exception => e
      fail_critically(e, id)
    end

    def begin_invocation(request, id)
      $_global_aws_request_id = id
      trace = request['Lambda-Runtime-Trace-Id']
      ENV['_X_AMZN_TRACE_ID'] = trace # nil takes the last one's away
    end

    def fail_critically(error, id)
      @api.post(@api.invocation_error(id, logged(error, 'Critical exception from handler')))
      exit(EXIT_CRITICAL)
    end

    def logged(error, what)
      report = ErrorReport.new(error, 'Function')
      report.log(what)
      report
    end
  end
end

Mayfly::Log.prepare
Mayfly::Runtime.new.run
