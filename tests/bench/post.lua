-- What wrk sends, and one line of figures at its end: requests, duration, latencies (all in
-- microseconds), answers that are not 2xx, and errors of sockets.
wrk.method = "POST"
wrk.body = '{"name":"x"}'
wrk.headers["Content-Type"] = "application/json"

function done(summary, latency, requests)
	local errors = summary.errors
	io.write(string.format("BENCH %d %d %d %d %d %d\n", summary.requests, summary.duration,
		latency:percentile(50), latency:percentile(99), errors.status,
		errors.connect + errors.read + errors.write + errors.timeout))
end
