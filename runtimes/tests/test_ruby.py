"""The ruby pack: what a function gets, what becomes of its result, its errors and its output."""
import json
import re

import pytest

from frames import read_log
from runtime_api import ARN, Refusal

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}"


def returning(expression, setup=""):
    return "%s\ndef handler(event:, context:)\n  %s\nend\n" % (setup, expression)


# ---- the protocol ----


def test_invocations_share_one_connection_and_pipeline(ruby):
    env = ruby(returning("event"))
    for i in range(20):
        report = env.call({"n": i})
        assert (report.kind, report.json, report.is_pipelined) == ("response", {"n": i}, True)
        assert report.fields["content-type"] == "application/json"
    assert env.api.connections == 1


def test_an_answer_may_come_in_pieces_and_an_event_in_chunks(ruby):
    env = ruby(returning("event"), piece_bytes=13)
    for event in ({"a": "é" * 40}, [1, 2, 3]):
        assert env.call(event).json == event
    assert env.call({"text": "x" * 1000}, is_chunked=True).json == {"text": "x" * 1000}
    assert env.call("after").json == "after"


def test_large_events_and_responses_arrive_whole(ruby):
    env = ruby(returning("event"))
    event = {"text": "0123456789" * 500_000}
    assert env.call(event).json == event


@pytest.mark.parametrize("is_closing, connections", [(False, 1), (True, 2)])
def test_a_refused_response_is_over(ruby, is_closing, connections):
    env = ruby(returning("event"))
    env.api.refusals.append(Refusal(413, is_closing=is_closing))
    env.call(1)
    assert env.call(2).json == 2
    assert env.api.connections == connections


def test_a_platform_that_is_gone_ends_the_process(ruby):
    env = ruby(returning("event"))
    env.call(1)
    env.api.close()
    assert env.exit_status() == 1


# ---- handlers ----


@pytest.mark.parametrize("handler", ["function.top", "function.Kind.run", "function.Deep::Kind.run"])
def test_forms_of_handlers(ruby, handler):
    env = ruby(
        "def top(event:, context:)\n  \"top #{event}\"\nend\n"
        "class Kind\n  def self.run(event:, context:)\n    \"Kind #{event}\"\n  end\nend\n"
        "module Deep\n  class Kind\n    def self.run(event:, context:)\n      \"Deep #{event}\"\n    end\n  end\nend\n",
        handler=handler)
    word = {"function.top": "top", "function.Kind.run": "Kind"}.get(handler, "Deep")
    assert env.call("x").json == word + " x"


def test_a_handler_in_a_folder_and_its_neighbours(ruby):
    env = ruby({"app/main.rb": "require 'app/other'\nrequire_relative 'other'\n" + returning("Other::WORD"),
                "app/other.rb": "module Other\n  WORD = 'found'\nend\n"}, handler="app/main.handler")
    assert env.call().json == "found"


@pytest.mark.parametrize("handler, kind, message", [
    ("invalid", "Init<ArgumentError>", 'Invalid handler ["invalid"], must be of form FILENAME.METHOD or'),
    ("a.b.c.d", "Init<ArgumentError>", 'Invalid handler ["a", "b", "c", "d"], must be of form'),
    ("missing.handler", "Init<LoadError>", "cannot load such file -- missing"),
])
def test_a_handler_that_cannot_be_loaded(ruby, handler, kind, message):
    env = ruby(returning("1"), handler=handler)
    report = env.api.report()
    assert (report.kind, report.json["errorType"], report.error_type) == ("init", kind, kind)
    assert report.json["errorMessage"].startswith(message)
    assert env.exit_status() == 252
    assert env.log.startswith("Init error when loading handler \n{\n")


@pytest.mark.parametrize("code, kind, header", [
    ("raise 'no luck'", "Init<RuntimeError>", "Function<UserException>"),
    ("require 'not-installed'", "Init<LoadError>", "Init<LoadError>"),
    ("def handler(", "Init<SyntaxError>", "Function<UserException>"),
    ("exit 3", "Init<SystemExit>", "Init<SystemExit>"),
])
def test_code_that_fails_while_it_is_loaded(ruby, code, kind, header):
    env = ruby(code + "\n")
    report = env.api.report()
    assert (report.kind, report.json["errorType"], report.error_type) == ("init", kind, header)
    assert list(report.json) == ["errorMessage", "errorType", "stackTrace"]
    assert env.exit_status() == 252


@pytest.mark.parametrize("handler, kind", [
    ("function.nothing", "Function<NoMethodError>"),
    ("function.Nothing.handler", "Function<NameError>"),
    ("function.String.nothing", "Function<NoMethodError>"),
])
def test_a_method_that_is_not_there_ends_the_environment(ruby, handler, kind):
    env = ruby(returning("1"), handler=handler)
    report = env.call()
    assert (report.kind, report.json["errorType"], report.error_type) == ("error", kind, kind)
    assert env.exit_status() == 255
    assert env.log.startswith("Critical exception from handler\n")


# ---- results ----


@pytest.mark.parametrize("expression, text", [
    ("nil", "null"),
    ("{ a: [1, 2.5, true, nil], 'b' => :c }", '{"a":[1,2.5,true,null],"b":"c"}'),
    ("'é'", '"é"'),
    ("10**30", "1" + "0" * 30),
    ("(1..3)", '"1..3"'),
])
def test_responses(ruby, expression, text):
    report = ruby(returning(expression)).call()
    assert (report.kind, report.body.decode()) == ("response", text)


def test_an_io_is_the_response_itself(ruby):
    report = ruby(returning("StringIO.new(\"\\x00\\xff\".b)")).call()
    assert (report.body, report.fields["content-type"]) == (b"\x00\xff", "application/unknown")


@pytest.mark.parametrize("expression, kind", [
    ("Float::NAN", "Function<JSON::GeneratorError>"),
    ("a = []; a << a", "Function<JSON::NestingError>"),
])
def test_a_response_that_is_no_json(ruby, expression, kind):
    env = ruby(returning(expression))
    for _ in range(2):
        report = env.call()
        assert (report.kind, report.json["errorType"]) == ("error", kind)


def test_functions_may_replace_the_marshaller(ruby):
    env = ruby(returning("event", "class AwsLambda::Marshaller\n"
                         "  def self.marshall_request(raw) = \"#{raw['content-type']} #{raw.body}\"\n"
                         "  def self.marshall_response(value) = [value.upcase, 'text/plain']\nend\n"))
    report = env.call("x")
    assert (report.body, report.fields["content-type"]) == (b'APPLICATION/JSON "X"', "text/plain")


def test_an_event_of_another_type_is_text(ruby):
    env = ruby(returning("event"))
    assert env.call(body=b"plain", fields={"Content-Type": "text/plain"}).json == "plain"


# ---- the context ----


def test_the_context(ruby):
    env = ruby(returning(
        "names = %i[aws_request_id invoked_function_arn log_group_name log_stream_name function_name\n"
        "  memory_limit_in_mb function_version identity client_context tenant_id w3c]\n"
        "  names.to_h { |name| [name, context.public_send(name)] }.merge(left: context.get_remaining_time_in_millis,\n"
        "  deadline: context.deadline_ms, trace: ENV['_X_AMZN_TRACE_ID'])"))
    seen = env.call(remaining_ms=9000, fields={
        "Lambda-Runtime-Cognito-Identity": '{"cognitoIdentityId":"i"}',
        "Lambda-Runtime-Client-Context": '{"custom":{"é":1},"w3c":{"baggage":"b","traceparent":1}}',
        "Lambda-Runtime-Aws-Tenant-Id": "blue"}).json
    assert 8000 < seen.pop("left") <= 9000 and seen.pop("deadline") > 1_700_000_000_000
    assert seen.pop("trace").startswith("Root=1-")
    assert seen == {
        "aws_request_id": "00000000-0000-4000-8000-000000000001", "invoked_function_arn": ARN,
        "log_group_name": "/aws/lambda/hello",
        "log_stream_name": "2026/01/01/[$LATEST]00000000000000000000000000000000",
        "function_name": "hello", "memory_limit_in_mb": "128", "function_version": "$LATEST",
        "identity": {"cognitoIdentityId": "i"}, "client_context": {"custom": {"é": 1}},
        "tenant_id": "blue", "w3c": {"baggage": "b"}}
    seen = env.call(fields={"Lambda-Runtime-Trace-Id": None}).json
    assert (seen["identity"], seen["client_context"], seen["w3c"], seen["trace"]) == (None, None, {}, None)


def test_the_time_that_is_left_is_never_negative(ruby):
    assert ruby(returning("context.get_remaining_time_in_millis")).call(remaining_ms=-5).json == 0


# ---- errors ----

FAILING = """class OutOfStock < StandardError; end

def inner(message)
  raise OutOfStock, message
end

def handler(event:, context:)
  inner(event)
end
"""


def test_an_exception_is_the_error_object_the_cause_and_a_log_entry(ruby):
    env = ruby(FAILING)
    report = env.call("no ünits")
    file = str(env.task / "function.rb")
    assert (report.kind, report.is_pipelined) == ("error", True)
    assert report.error_type == "Function<UserException>", "AWS names a few standard classes only"
    trace = report.json["stackTrace"]
    assert [re.sub(r"in [`'](Object#)?", "in '", line) for line in trace] == [
        f"{file}:4:in 'inner'", f"{file}:8:in 'handler'"]
    assert list(report.json.items()) == [
        ("errorMessage", "no ünits"), ("errorType", "Function<OutOfStock>"), ("stackTrace", trace)]
    assert report.cause["exceptions"][0]["stack"][0]["line"] == 4
    assert report.cause["working_directory"] == str(env.task)
    assert env.log == "Error raised from handler method\n" + json.dumps(report.json, indent=2, ensure_ascii=False) + "\n"
    assert env.call("again").json["errorMessage"] == "again", "the environment lives on"


@pytest.mark.parametrize("statement, kind, lives", [
    ("raise ArgumentError, 'x'", "Function<ArgumentError>", True),
    ("nil.nothing", "Function<NoMethodError>", False),
    ("nothing", "Function<NameError>", False),
    ("handler(event: 1, context: 2)", "Function<SystemStackError>", False),
    ("exit 0", "Function<SystemExit>", False),
    ("raise Exception, 'x'", "Function<Exception>", False),
])
def test_which_errors_end_the_environment(ruby, statement, kind, lives):
    env = ruby(returning(statement))
    report = env.call()
    assert (report.json["errorType"], report.error_type) == (kind, kind)
    if lives:
        assert env.call().kind == "error"
    else:
        assert env.exit_status() == 255


def test_messages_that_are_no_text(ruby):
    env = ruby(returning("raise event ? Odd : \"\\xff\".b",
                         "class Odd < StandardError\n  def message = raise('no')\nend\n"))
    assert env.call(True).json["errorMessage"] == "<exception message failed>"
    assert env.call(False).json["errorMessage"] == "\ufffd"


def test_a_cause_that_is_too_long_for_a_header_is_left_out(ruby):
    env = ruby(returning("raise 'x' * event"))
    assert "lambda-runtime-function-xray-error-cause" in env.call(30_000).fields
    assert "lambda-runtime-function-xray-error-cause" not in env.call(33_000).fields


# ---- the log ----

LOGGING = """require 'logger'
LOGGER = Logger.new($stdout, progname: 'shop')

def handler(event:, context:)
  puts 'plain', ['two']
  LOGGER.debug("fine\\ngrained")
  LOGGER.warn({ a: 1 })
  LOGGER.error(KeyError.new('gone'))
  $stderr.puts('aside')
end
"""


def test_the_text_format(ruby):
    env = ruby(LOGGING)
    request = env.call().request_id
    lines = env.log.split("\n")
    assert lines[:2] == ["plain", "two"]
    assert re.fullmatch(r"D, \[%s #\d+\] DEBUG %s -- shop: fine" % (TIME, request), lines[2])
    assert lines[3] == "grained"
    assert re.fullmatch(r"W, \[%s #\d+\]  WARN %s -- shop: \{.*a.*1\}" % (TIME, request), lines[4])
    assert re.fullmatch(r"E, \[%s #\d+\] ERROR %s -- shop: gone \(KeyError\)" % (TIME, request), lines[5])
    assert "aside" in lines


def test_the_json_format_and_the_level(ruby):
    env = ruby(LOGGING, env={"AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_LOG_LEVEL": "WARN"})
    request = env.call().request_id
    records = [json.loads(line) for line in env.log.split("\n") if line.startswith("{")]
    assert [record["level"] for record in records] == ["WARN", "ERROR"]
    assert all(re.fullmatch(TIME + "Z", record["timestamp"]) for record in records)
    assert all((record["requestId"], record["logger"]) == (request, "shop") for record in records)
    assert (records[1]["errorType"], records[1]["errorMessage"]) == ("KeyError", "gone")


@pytest.mark.parametrize("log_format", ["Text", "JSON"])
def test_each_record_is_one_frame(ruby, log_format):
    env = ruby(LOGGING, env={"_LAMBDA_TELEMETRY_LOG_FD": "1", "AWS_LAMBDA_LOG_FORMAT": log_format})
    env.call()
    events = read_log(env.log_path.read_bytes())
    assert events[0].text == "plain\ntwo\n"
    assert [event.format for event in events[:4]] == ["text"] + [log_format.lower()] * 3
    assert "fine\ngrained" in events[1].text or "fine\\ngrained" in events[1].text


def test_a_long_text_is_several_frames_and_the_variable_is_hidden(ruby):
    env = ruby(returning("puts 'x' * 300_000; ENV.key?('_LAMBDA_TELEMETRY_LOG_FD')"),
               env={"_LAMBDA_TELEMETRY_LOG_FD": "1"})
    assert env.call().json is False
    assert [len(event.text) for event in read_log(env.log_path.read_bytes())] == [262_144, 37_857]


def test_a_logger_of_the_functions_own_is_left_alone(ruby):
    env = ruby(returning("io = StringIO.new; Logger.new(io).info('x')\n"
                         "Logger.new($stderr, formatter: ->(*, text) { \"<#{text}>\\n\" }, level: 'error').error('y')\n"
                         "io.string", "require 'logger'"), env={"AWS_LAMBDA_LOG_FORMAT": "JSON"})
    assert re.fullmatch(r"I, \[%s #\d+\]  INFO -- : x\n" % TIME, env.call().json)
    assert env.log == "<y>\n"


# ---- the standard library and gems ----


def test_what_aws_has_loaded_is_there(ruby):
    env = ruby(returning("[Net::HTTP.name, URI('http://a/b').path, Time.parse('2020-01-01').year, StringIO.name,\n"
                         "  Timeout.name, Encoding.default_external.name, {}.to_json, Gem::Version.new('1.10').to_s]"))
    assert env.call().json == ["Net::HTTP", "/b", 2020, "StringIO", "Timeout", "UTF-8", "{}", "1.10"]


def gem(name, folder, word):
    return {
        f"{folder}/specifications/{name}-9.9.9.gemspec":
            f"Gem::Specification.new {{ |s| s.name = '{name}'; s.version = '9.9.9'; s.summary = 'x'; s.authors = ['x'];"
            f" s.files = ['lib/{name}.rb']; s.require_paths = ['lib'] }}\n",
        f"{folder}/gems/{name}-9.9.9/lib/{name}.rb": f"module Brought\n  WORD = '{word}'\nend\n"}


@pytest.mark.parametrize("version", ["3.3", "own"])
def test_gems_of_the_function(ruby, version):
    version = ".".join(ruby.pack.version.split(".")[:2]) if version == "own" else version
    files = {"function.rb": returning("[Brought::WORD, ENV['GEM_HOME'].nil?]", "require 'brought'"),
             **gem("brought", f"vendor/bundle/ruby/{version}.0", "by a gem")}
    env = ruby(files)
    # The tests' folder is no /var/task: GEM_PATH follows LAMBDA_TASK_ROOT.
    assert env.call().json == ["by a gem", False]


def test_without_gems_rubygems_is_not_loaded_until_it_is_named(ruby):
    env = ruby(returning("require event if event; $LOADED_FEATURES.any? { |f| f.end_with?('/rubygems.rb') }",
                         "require 'json'\nrequire 'set'\nrequire 'digest'\n"))
    assert env.call(None).json is False
    assert env.call("bundler").json is True
    env = ruby(returning("gem 'json'; Gem.loaded_specs.key?('json')"))
    assert env.call().json is True


# ---- the environment ----


def test_the_environment(ruby):
    env = ruby(returning("ENV.to_h.merge(cwd: Dir.pwd, path: $LOAD_PATH.first)"))
    seen = env.call().json
    assert seen["cwd"] == seen["path"] == str(env.task)
    assert seen["GEM_PATH"].startswith(f"{env.task}/vendor/bundle/ruby/3.3.0:/opt/ruby/gems/3.3.0:")
    assert seen["RUBYLIB"].startswith(f"{env.task}:") and seen["RUBYLIB"].endswith(":/opt/ruby/lib")


def test_an_exec_wrapper_is_given_the_command_line(ruby, tmp_path):
    wrapper = tmp_path / "wrapper"
    wrapper.write_text("#!/bin/sh\nexport WRAPPED=yes\nexec \"$@\"\n")
    wrapper.chmod(0o755)
    env = ruby(returning("[ENV['WRAPPED'], ARGV]"), env={"AWS_LAMBDA_EXEC_WRAPPER": str(wrapper)})
    assert env.call().json == ["yes", []]
