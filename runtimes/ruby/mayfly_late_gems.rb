# frozen_string_literal: true

# What naming the constant Gem loads, see mayfly_gems.rb.
Mayfly::Gems.load
