# frozen_string_literal: true

module Mayfly
  # RubyGems, when it is needed: at once if the function, a layer or the operator brings gems
  # (they may replace parts of the standard library, and must do so before those are loaded);
  # else when something is required that the standard library has not, or RubyGems is named.
  module Gems
    # What AWS's client has loaded before the handler: functions use it without saying so.
    PRELOADED = { Net: 'net/http', URI: 'uri', Timeout: 'timeout' }.freeze
    # Parts of the standard library that are here already: a later version must not follow.
    LOADED = %w[json stringio time date logger monitor].freeze

    class << self
      def prepare
        @original = Kernel.instance_method(:require)
        @is_loaded = false
        if ENV['GEM_PATH'].split(':').any? { |place| Dir.exist?("#{place}/specifications") }
          load
        else
          wait
        end
        PRELOADED.each { |name, file| Object.autoload(name, file) }
      end

      # The standard library first; what is not there may be a gem.
      def require_late(caller, path)
        load if path.to_s.start_with?('rubygems', 'bundler') # parts of it do not name Gem
        @original.bind_call(caller, path)
      rescue LoadError => e
        raise if @is_loaded || e.path != path

        load
        caller.__send__(:require, path)
      end

      def load
        return if @is_loaded

        @is_loaded = true
        define(:require, @original) # RubyGems wraps the original one, not ours
        Object.send(:remove_const, :Gem) if Object.autoload?(:Gem)
        require('rubygems')
        LOADED.each { |name| Gem.find_unresolved_default_spec(name)&.activate if loaded?(name) }
      end

      private

      def wait
        define(:require) { |path| Gems.require_late(self, path) }
        define(:gem) { |*what| Gems.load || __send__(:gem, *what) }
        Object.autoload(:Gem, "#{HERE}/mayfly_late_gems.rb")
      end

      def define(name, method = nil, &block)
        Kernel.define_method(name, *method, &block)
        Kernel.send(:private, name)
      end

      def loaded?(name)
        $LOADED_FEATURES.any? { |path| path.end_with?("/#{name}.rb", "/#{name}.so") }
      end
    end
  end
end
