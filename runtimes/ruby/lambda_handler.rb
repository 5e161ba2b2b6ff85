# frozen_string_literal: true

# How events become objects and results become bytes. The names are AWS's: "This can be
# overwritten by users who know what they are doing", and then it is called all the same.
module AwsLambda
  class Marshaller
    class << self
      def marshall_request(raw_request)
        raw_request['Content-Type'] == 'application/json' ? JSON.parse(raw_request.body) : raw_request.body
      end

      # The bytes, or [bytes or an IO, content type].
      def marshall_response(method_response)
        case method_response
        when StringIO, IO
          [method_response, 'application/unknown']
        else
          method_response.to_json
        end
      end
    end
  end
end

# The method that a handler's name means: FILE.METHOD or FILE.CLASS.METHOD. A method without a
# class is one of the file's own; this object is its self.
class LambdaHandler
  attr_reader :handler_file_name, :handler_method_name

  def initialize(env_handler:)
    parts = env_handler.split('.')
    unless [2, 3].include?(parts.size)
      raise ArgumentError, "Invalid handler #{parts}, must be of form FILENAME.METHOD or FILENAME.CLASS.METHOD " \
                           'where FILENAME corresponds with an existing Ruby source file FILENAME.rb, CLASS is an ' \
                           'optional module/class namespace and METHOD is a callable method. If using CLASS, ' \
                           'METHOD must be a class-level method.'
    end
    @handler_file_name = parts.first
    @handler_class = parts[1] if parts.size == 3
    @handler_method_name = parts.last
  end

  # The response and its content type (nil: JSON).
  def call(request)
    options = { event: AwsLambda::Marshaller.marshall_request(request), context: LambdaContext.new(request) }
    target = @handler_class ? Kernel.const_get(@handler_class) : self
    body, type = AwsLambda::Marshaller.marshall_response(target.__send__(@handler_method_name, **options))
    [type == 'application/unknown' ? body.read : body, type]
  end
end
