# frozen_string_literal: true

module Mayfly
  # What becomes of an exception: the error object that the caller gets, its line in the log,
  # and the cause for X-Ray.
  class ErrorReport
    # AWS's client tells the platform these names, and calls everything else UserException.
    NAMED = %w[ArgumentError NoMethodError Exception StandardError NameError LoadError SystemExit
               SystemStackError].freeze
    TRACE_MAX = 100
    CAUSE_TRACE_MAX = 15
    CAUSE_MAX = 32 * 1024 # bytes: it travels in a header, which the platform bounds

    # `phase` is Init or Function.
    def initialize(error, phase)
      @name = error.class.to_s
      @type = "#{phase}<#{@name}>"
      @message = clean(message_of(error))
      @trace = own(error.backtrace_locations || [])
    end

    def body
      JSON.generate(object)
    end

    def fields(with_cause:)
      type = NAMED.include?(@name) ? @type : 'Function<UserException>'
      text = "Content-Type: application/json\r\nLambda-Runtime-Function-Error-Type: #{type}\r\n"
      return text unless with_cause

      json = cause
      json.bytesize > CAUSE_MAX ? text : "#{text}Lambda-Runtime-Function-XRay-Error-Cause: #{json}\r\n"
    end

    def log(what)
      Log.event("#{what}\n")
      Log.event("#{JSON.pretty_generate(object)}\n")
    end

    private

    def object
      { errorMessage: @message, errorType: @type, stackTrace: @trace.map { |place| clean(place.to_s) } }
    end

    def message_of(error)
      error.message.to_s
    rescue StandardError # the function's own `message` may fail
      '<exception message failed>'
    end

    # The trace up to the function's outermost frame: ours below it say nothing to its author.
    def own(places)
      places.first(TRACE_MAX).take_while { |place| !place.path.start_with?("#{HERE}/") }
    end

    def clean(text)
      text.encode('UTF-8', invalid: :replace, undef: :replace).scrub
    end

    def cause
      stack = @trace.first(CAUSE_TRACE_MAX).map do |place|
        { path: clean(place.path), line: place.lineno, label: clean(place.label) }
      end
      JSON.generate({ working_directory: directory, paths: ENV['GEM_PATH'].split(':'),
                      exceptions: [{ message: @message, type: @type, stack: stack }] }, ascii_only: true)
    end

    def directory
      Dir.pwd
    rescue SystemCallError # the function has removed it
      ''
    end
  end
end
