# frozen_string_literal: true

module Mayfly
  # The environment variables that only the runtime knows, or has to keep from the function.
  module Environment
    AWS_PATH = '/usr/local/bin:/usr/bin/:/bin:/opt/bin' # PATH, unless the function has its own
    WRAPPED = 'wrapped' # the argument that tells a wrapper's child from the first start
    OPTIONS = %w[--disable-gems -E UTF-8].freeze # of pack.ini

    class << self
      attr_reader :log_fd

      def prepare
        program = File.readlink('/proc/self/exe')
        enter_wrapper(program)
        ENV['PATH'] = "#{File.dirname(program)}:#{AWS_PATH}" if ENV['PATH'] == AWS_PATH
        ENV['GEM_PATH'] ||= gem_path
        ENV['RUBYLIB'] ||= libraries.join(':')
        $LOAD_PATH.unshift(*(ENV['RUBYLIB'].split(':') - $LOAD_PATH))
        @log_fd = ENV.delete('_LAMBDA_TELEMETRY_LOG_FD')
      end

      private

      # AWS_LAMBDA_EXEC_WRAPPER: a program that is given our command line, to start it its way.
      def enter_wrapper(program)
        wrapper = ENV['AWS_LAMBDA_EXEC_WRAPPER'].to_s
        if ARGV == [WRAPPED]
          ARGV.clear
        elsif !wrapper.empty?
          exec(wrapper, program, *OPTIONS, "#{HERE}/bootstrap.rb", WRAPPED)
        end
      end

      # Gems are made for the version that the function names, which may not be what runs it.
      def versions
        own = RUBY_VERSION[/\A\d+\.\d+/]
        wanted = ENV['AWS_EXECUTION_ENV'].to_s[/\AAWS_Lambda_ruby(\d+\.\d+)\z/, 1]
        [wanted || own, own].uniq
      end

      def gem_path
        versions.flat_map { |version|
          ["#{task}/vendor/bundle/ruby/#{version}.0", "/opt/ruby/gems/#{version}.0",
           HERE, "#{HERE}/ruby/#{version}.0"]
        }.uniq.join(':')
      end

      def libraries
        [task, "#{HERE}/lib", '/opt/ruby/lib']
      end

      def task
        ENV.fetch('LAMBDA_TASK_ROOT', '/var/task')
      end
    end
  end
end
