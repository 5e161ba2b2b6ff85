# frozen_string_literal: true

require 'socket.so' # the C part: socket.rb on top of it is not needed here

module Mayfly
  # An event as AWS's Marshaller finds it: header fields by name, in any case, and the body.
  class Request
    attr_reader :body

    def initialize(fields, body)
      @fields = fields
      @body = body
    end

    def [](name)
      @fields[name.downcase]
    end
  end

  # One connection to the Runtime API. The report of one invocation leaves in the same segment
  # as the request for the next event (HTTP pipelining); the platform may answer both at once.
  class Api
    RUNTIME = '/2018-06-01/runtime/'
    CONNECT_MAX = 3 # connections in a row without one answer, before we give up

    def initialize(address)
      @address = address
      @host, _, @port = address.rpartition(':')
      @rest = String.new # received, not yet part of an answer
      @take = "GET #{RUNTIME}invocation/next HTTP/1.1\r\nHost: #{address}\r\n\r\n"
    end

    # ---- reports: the bytes of a POST ----

    def response(id, body, type)
      request("invocation/#{id}/response", body, "Content-Type: #{type || 'application/json'}\r\n")
    end

    def invocation_error(id, report)
      request("invocation/#{id}/error", report.body, report.fields(with_cause: true))
    end

    def init_error(report)
      request('init/error', report.body, report.fields(with_cause: false))
    end

    # ---- exchanges ----

    # Send a report (or '') and wait for the next event. A report that was refused is over all
    # the same: the platform has ended that invocation with an error of its own.
    def next(report)
      CONNECT_MAX.times do |attempt|
        send_all(report + @take)
        receive_answer unless report.empty?
        status, request = receive_answer
        return request if status == 200

        abort("The Runtime API answered #{status}: #{request.body[0, 200]}")
      rescue SystemCallError, IOError => e
        disconnect
        report = '' # it may have arrived: never report twice
        abort("The Runtime API cannot be used: #{e.message}") if attempt == CONNECT_MAX - 1
      end
    end

    # Send a report after which this process ends, and wait until it is answered.
    def post(report)
      send_all(report)
      receive_answer
    rescue SystemCallError, IOError
      nil # the platform is gone: nobody is left to tell
    end

    private

    def request(path, body, fields)
      body = body.to_s.b
      head = "POST #{RUNTIME}#{path} HTTP/1.1\r\nHost: #{@address}\r\n" \
             "Content-Length: #{body.bytesize}\r\n#{fields}\r\n"
      head.b << body
    end

    def send_all(bytes)
      unless @socket
        @socket = TCPSocket.new(@host, @port)
        @socket.setsockopt(Socket::IPPROTO_TCP, Socket::TCP_NODELAY, 1)
        @socket.sync = true
      end
      @socket.write(bytes)
    end

    def disconnect
      @socket&.close
      @socket = nil
      @rest = String.new
    end

    def receive
      @rest << @socket.readpartial(65_536)
    end

    # Status and content of the next answer on the connection.
    def receive_answer
      receive until (size = @rest.index("\r\n\r\n"))
      first, *lines = @rest.slice!(0, size + 4).force_encoding('UTF-8').split("\r\n")
      fields = lines.to_h do |line|
        name, _, value = line.partition(':')
        [name.downcase, value.strip]
      end
      body = fields['transfer-encoding'] ? receive_chunks : receive_exactly(fields['content-length'].to_i)
      [first[9, 3].to_i, Request.new(fields, body.force_encoding('UTF-8'))]
    end

    def receive_exactly(size)
      receive until @rest.bytesize >= size
      @rest.slice!(0, size)
    end

    def receive_line
      receive until (size = @rest.index("\r\n"))
      @rest.slice!(0, size + 2).chomp("\r\n")
    end

    def receive_chunks
      body = String.new
      until (size = receive_line.hex).zero?
        body << receive_exactly(size)
        receive_line
      end
      nil until receive_line.empty? # the trailers
      body
    end
  end
end
