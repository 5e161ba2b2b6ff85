# frozen_string_literal: true

require 'logger'

module Mayfly
  # The function's log. A platform that takes framed events gets each call of `puts` and each
  # record of a Logger as one; without frames it cuts at line breaks.
  module Log
    FRAME_JSON = 0xa55a0002
    FRAME_TEXT = 0xa55a0003
    FRAME_MAX = 256 * 1024 # bytes of text in a frame; more goes on in the next

    class << self
      attr_reader :level

      def prepare
        $stdout.sync = true
        @is_json = ENV['AWS_LAMBDA_LOG_FORMAT'].to_s.casecmp?('JSON')
        @level = level_of(ENV['AWS_LAMBDA_LOG_LEVEL'].to_s.upcase)
        @device = Device.new(@is_json ? FRAME_JSON : FRAME_TEXT)
        @frames = open_frames(Environment.log_fd)
        Logger.prepend(LoggerPatch)
        take_puts if @frames
      end

      # One event of plain text.
      def event(text, kind = FRAME_TEXT)
        return $stdout.write(text) unless @frames

        text = text.b
        0.step(by: FRAME_MAX).take_while { |start| start < text.bytesize }.each do |start|
          piece = text.byteslice(start, FRAME_MAX)
          now = Process.clock_gettime(Process::CLOCK_REALTIME, :microsecond)
          @frames.syswrite([kind, piece.bytesize, now].pack('L>L>Q>') << piece)
        end
        text.bytesize
      end

      # Where a Logger writes that was given `target`; nil if that is its own affair.
      def device_for(target)
        @device if target.nil? || target == $stdout || target == $stderr
      end

      def formatter
        @is_json ? JsonFormatter.new : TextFormatter.new
      end

      private

      def level_of(name)
        name = 'DEBUG' if name == 'TRACE'
        Logger::Severity.const_defined?(name) ? Logger::Severity.const_get(name) : Logger::DEBUG
      rescue NameError # '' is no name of a constant
        Logger::DEBUG
      end

      def open_frames(fd)
        frames = IO.new(fd.to_i, 'wb', autoclose: false) if fd&.match?(/\A\d+\z/)
        frames&.sync = true
        frames
      rescue SystemCallError # no such descriptor: events are written plainly
        nil
      end

      def take_puts
        Kernel.define_method(:puts) do |*values|
          text = values.flatten.map { |value| value.to_s.encode('UTF-8') }.join("\n")
          Log.event(text.end_with?("\n") ? text : "#{text}\n")
          nil
        end
        Kernel.send(:private, :puts)
      end
    end

    # What a Logger writes to.
    class Device < Logger::LogDevice
      def initialize(kind) # no super: it would open a file
        @kind = kind
      end

      def write(text)
        Log.event(text, text.start_with?('{') ? @kind : FRAME_TEXT)
      end

      def reopen(*) = self
      def close = nil
    end

    # Loggers on standard output or error go to the function's log, in its format.
    module LoggerPatch
      def initialize(logdev, shift_age = 0, shift_size = 1_048_576, level: nil, formatter: nil, **more)
        device = Log.device_for(logdev)
        level ||= device ? Log.level : Logger::DEBUG
        formatter ||= Log.formatter if device
        super(device || logdev, shift_age, shift_size, level: level, formatter: formatter, **more)
      end
    end

    # As the standard formatter writes, with the request's id.
    class TextFormatter < Logger::Formatter
      FORMAT = '%<sev>s, [%<datetime>s #%<process>d] %<severity>5s %<request_id>s -- %<progname>s: %<msg>s'

      def call(severity, time, progname, msg)
        line = format(FORMAT, sev: severity[0], datetime: format_datetime(time), process: Process.pid,
                              severity: severity, request_id: $_global_aws_request_id,
                              progname: progname, msg: msg2str(msg))
        "#{line.encode('UTF-8', invalid: :replace, undef: :replace)}\n"
      end
    end

    # One JSON object a record.
    class JsonFormatter < Logger::Formatter
      PLACE = /\A(?<file>.+):(?<line>\d+):in [`'](?<method>.+)'\z/.freeze

      def call(severity, time, progname, msg)
        record = {
          timestamp: time.getutc.strftime('%Y-%m-%dT%H:%M:%S.%6NZ'),
          level: severity,
          message: clean(msg.is_a?(Exception) ? msg.message : msg2str(msg)),
          requestId: $_global_aws_request_id,
          logger: progname.to_s.empty? ? nil : clean(progname),
        }
        record.update(error(msg)) if msg.is_a?(Exception)
        "#{JSON.generate(record.compact)}\n"
      end

      private

      def error(error)
        trace = Array(error.backtrace).map { |line| clean(line) }
        { errorType: error.class.to_s, errorMessage: clean(error.message), stackTrace: trace,
          location: place(trace.first) }
      end

      def place(line)
        parts = PLACE.match(line.to_s)
        parts ? "#{parts[:file]}:#{parts[:method]}:#{parts[:line]}" : line
      end

      def clean(text)
        text.to_s.encode('UTF-8', invalid: :replace, undef: :replace).scrub
      end
    end
  end
end
