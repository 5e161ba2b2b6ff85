"""Layers: versions, permissions, and what functions have of them at /opt."""

import hashlib
import json
import shutil
import urllib.request

import pytest

from harness.errors import conflict, error, invalid, not_found, precondition, validation
from harness.functions import NODE, PROVIDED, PYTHON, RUBY, unique, zip_files

MISSING = "The resource you requested does not exist."
LAYER_PATTERN = (
    r"(arn:(aws[a-zA-Z-]*)?:lambda:(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:\d{12}:layer:[a-zA-Z0-9-_]+:[0-9]+)"
    r"|(arn:[a-zA-Z0-9-]+:lambda:::awslayer:[a-zA-Z0-9-_]+)"
)
STALE = (
    "The Revision Id provided does not match the latest Revision Id. "
    "Call the GetLayerPolicy API to retrieve the latest Revision Id"
)


def layer_arn(name, version=None, account="000000000000"):
    arn = f"arn:aws:lambda:us-east-1:{account}:layer:{name}"
    return f"{arn}:{version}" if version else arn


def publish(client, files, name=None, **more):
    """The ARN of a new layer version."""
    content = {"ZipFile": zip_files(files, executable=more.pop("executable", ()))}
    return client.publish_layer_version(LayerName=name or unique("layer"), Content=content, **more)["LayerVersionArn"]


# --- versions ---


def test_the_life_of_a_version(lambda_):
    name, zipped = unique("layer"), zip_files({"python/lib.py": "X = 1\n"})
    settings = {"CompatibleRuntimes": ["python3.12"], "CompatibleArchitectures": ["x86_64"], "LicenseInfo": "MIT"}
    first = lambda_.publish_layer_version(LayerName=name, Content={"ZipFile": zipped}, Description="one", **settings)
    assert first["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert (first["LayerArn"], first["LayerVersionArn"]) == (layer_arn(name), layer_arn(name, 1))
    assert (first["Version"], first["Description"], first["LicenseInfo"]) == (1, "one", "MIT")
    assert (first["CompatibleRuntimes"], first["CompatibleArchitectures"]) == (["python3.12"], ["x86_64"])
    assert first["Content"]["CodeSize"] == len(zipped)

    with urllib.request.urlopen(first["Content"]["Location"]) as download:
        assert hashlib.sha256(download.read()).digest() == hashlib.sha256(zipped).digest()

    got = lambda_.get_layer_version(LayerName=name, VersionNumber=1)
    by_arn = lambda_.get_layer_version_by_arn(Arn=layer_arn(name, 1))
    for answer in (first, got, by_arn):
        del answer["ResponseMetadata"], answer["Content"]["Location"]
    assert first == got == by_arn

    publish(lambda_, {"python/lib.py": "X = 2\n"}, name)
    listed = lambda_.list_layer_versions(LayerName=name)["LayerVersions"]
    assert [row["Version"] for row in listed] == [2, 1]
    assert listed[1] == {
        "LayerVersionArn": layer_arn(name, 1),
        "Version": 1,
        "Description": "one",
        "CreatedDate": first["CreatedDate"],
        **settings,
    }
    for _ in range(2):
        assert lambda_.delete_layer_version(LayerName=name, VersionNumber=2)["ResponseMetadata"]["HTTPStatusCode"] == 204
    with not_found(MISSING) as caught:
        lambda_.get_layer_version(LayerName=name, VersionNumber=2)
    assert caught.response["Type"] == "User"
    assert lambda_.list_layers(MaxItems=50)["Layers"]
    assert publish(lambda_, {"x": "y"}, name) == layer_arn(name, 3)


def test_lists_filter_and_page(empty_world):
    client = empty_world.client
    for name in ("c", "a", "b"):
        client.publish_layer_version(
            LayerName=name,
            Content={"ZipFile": zip_files({"x": name})},
            CompatibleRuntimes=["python3.12"] if name == "a" else [],
            CompatibleArchitectures=["arm64"],
        )
    publish(client, {"x": "newer"}, "a")
    layers = client.list_layers()["Layers"]
    assert [(row["LayerName"], row["LatestMatchingVersion"]["Version"]) for row in layers] == [("a", 2), ("b", 1), ("c", 1)]
    (only,) = client.list_layers(CompatibleRuntime="python3.12")["Layers"]
    assert (only["LayerName"], only["LatestMatchingVersion"]["Version"]) == ("a", 1)
    assert client.list_layers(CompatibleArchitecture="x86_64")["Layers"] == []
    assert len(client.list_layer_versions(LayerName="a", CompatibleArchitecture="arm64")["LayerVersions"]) == 1
    assert client.list_layer_versions(LayerName="none")["LayerVersions"] == []
    pages = client.get_paginator("list_layers").paginate(PaginationConfig={"PageSize": 1})
    assert [row["LayerName"] for page in pages for row in page["Layers"]] == ["a", "b", "c"]


def test_what_is_refused(lambda_, functions):
    name = unique("layer")
    with invalid("Layer Version Cannot be less than 1"):
        lambda_.get_layer_version(LayerName=name, VersionNumber=0)
    with invalid("Layer Version Cannot be less than 1"):
        lambda_.delete_layer_version(LayerName=name, VersionNumber=-1)
    with not_found(MISSING):
        lambda_.get_layer_version_by_arn(Arn=layer_arn(name, 1))
    text = f"Value '{layer_arn(name)}' at 'arn' failed to satisfy constraint: Member must satisfy regular expression pattern: "
    with validation(text + LAYER_PATTERN):
        lambda_.get_layer_version_by_arn(Arn=layer_arn(name))
    with validation(
        "Value 'x' at 'compatibleArchitecture' failed to satisfy constraint: Member must satisfy enum value set: [x86_64, arm64]"
    ):
        lambda_.list_layers(CompatibleArchitecture="x")
    with invalid("Could not unzip uploaded file. Please check your file, then try to upload again."):
        lambda_.publish_layer_version(LayerName=name, Content={"ZipFile": b"no zip at all"})
    assert lambda_.list_layer_versions(LayerName=name)["LayerVersions"] == []


def test_layers_count_for_the_account(empty_world):
    zipped = zip_files({"x": "y"})
    before = empty_world.client.get_account_settings()["AccountUsage"]["TotalCodeSize"]
    for i in (1, 2):
        empty_world.client.publish_layer_version(LayerName="x", Content={"ZipFile": zipped})
        now = empty_world.client.get_account_settings()["AccountUsage"]["TotalCodeSize"]
        assert now - before == i * len(zipped)


# --- permissions ---


def test_the_life_of_a_policy(lambda_):
    name = unique("layer")
    where = {"LayerName": name, "VersionNumber": 1}
    grant = {**where, "Action": "lambda:GetLayerVersion", "Principal": "*"}
    gone = f"Layer version {layer_arn(name, 1)} does not exist."
    with not_found(gone):
        lambda_.add_layer_version_permission(**grant, StatementId="s1")
    with not_found(gone):
        lambda_.remove_layer_version_permission(**where, StatementId="s1")
    with not_found(gone):
        lambda_.get_layer_version_policy(**where)
    publish(lambda_, {"x": "y"}, name)
    with not_found("No policy is associated with the given resource."):
        lambda_.get_layer_version_policy(**where)
    with validation(
        "Value '*' at 'action' failed to satisfy constraint: "
        "Member must satisfy regular expression pattern: lambda:GetLayerVersion"
    ):
        lambda_.add_layer_version_permission(**{**grant, "Action": "*"}, StatementId="s1")
    first = lambda_.add_layer_version_permission(**grant, StatementId="s1")
    assert first["ResponseMetadata"]["HTTPStatusCode"] == 201
    statement = {
        "Sid": "s1",
        "Effect": "Allow",
        "Principal": "*",
        "Action": "lambda:GetLayerVersion",
        "Resource": layer_arn(name, 1),
    }
    assert json.loads(first["Statement"]) == statement
    with conflict():
        lambda_.add_layer_version_permission(**grant, StatementId="s1")
    with precondition(STALE):
        lambda_.add_layer_version_permission(**grant, StatementId="s2", RevisionId="wrong")
    with precondition(STALE):
        lambda_.remove_layer_version_permission(**where, StatementId="s1", RevisionId="wrong")
    with not_found("Statement none is not found in resource policy."):
        lambda_.remove_layer_version_permission(**where, StatementId="none")
    policy = lambda_.get_layer_version_policy(**where)
    assert policy["RevisionId"] == first["RevisionId"]
    assert json.loads(policy["Policy"]) == {"Version": "2012-10-17", "Id": "default", "Statement": [statement]}
    removed = lambda_.remove_layer_version_permission(**where, StatementId="s1", RevisionId=policy["RevisionId"])
    assert removed["ResponseMetadata"]["HTTPStatusCode"] == 204


def test_another_account_may_use_a_layer_that_lets_it(aws, lambda_, empty_world):
    name = unique("layer")
    arn = publish(lambda_, {"python/shared.py": "WORD = 'shared'\n"}, name)
    denied = (
        f"User: arn:aws:iam::{empty_world.account}:root is not authorized to perform: lambda:GetLayerVersion on resource: "
        f"{arn} because no resource-based policy allows the lambda:GetLayerVersion action"
    )
    source = "import shared\ndef handler(event, context):\n    return shared.WORD\n"
    with error("AccessDeniedException", denied, 403):
        empty_world.client.get_layer_version_by_arn(Arn=arn)
    with error("AccessDeniedException", denied, 403):
        empty_world.create(source, Layers=[arn])
    grant = {"LayerName": name, "VersionNumber": 1, "Action": "lambda:GetLayerVersion", "StatementId": "s"}
    lambda_.add_layer_version_permission(**grant, Principal=empty_world.account)
    assert empty_world.client.get_layer_version_by_arn(Arn=arn)["LayerArn"] == layer_arn(name)
    assert empty_world.call(empty_world.make(source, Layers=[arn])) == "shared"


# --- functions ---


def test_a_function_shows_its_layers_and_keeps_those_that_are_deleted(lambda_, functions):
    layer, files = unique("layer"), {"python/lib.py": "WORD = 'one'\n"}
    arn = publish(lambda_, files, layer)
    size = len(zip_files(files))
    name = functions.make("import lib\ndef handler(event, context):\n    return lib.WORD\n", Layers=[arn])
    assert lambda_.get_function_configuration(FunctionName=name)["Layers"] == [{"Arn": arn, "CodeSize": size}]
    version = functions.publish(name)
    assert version["Layers"] == [{"Arn": arn, "CodeSize": size}]
    lambda_.delete_layer_version(LayerName=layer, VersionNumber=1)
    functions.update(name, MemorySize=256)  # new environments
    assert functions.call(name) == "one"
    assert functions.call(name, Qualifier="1") == "one"
    with invalid(f"Layer version {arn} does not exist."):
        functions.update(name, Layers=[arn])
    answer = functions.update(name, Layers=[])
    assert "Layers" not in answer
    payload = functions.invoke(name)[1]
    assert payload["errorType"] == "Runtime.ImportModuleError"
    assert functions.call(name, Qualifier="1") == "one"


def test_later_layers_hide_earlier_ones(lambda_, functions):
    one = publish(lambda_, {"both/x": "1", "only-one": "1", "both/one": "1"})
    two = publish(lambda_, {"both/x": "2", "only-two": "2"})
    source = (
        "import os\n"
        "def handler(event, context):\n"
        "    read = lambda path: open('/opt/' + path).read()\n"
        "    try:\n"
        "        open('/opt/new', 'w')\n"
        "    except OSError as e:\n"
        "        error = e.errno\n"
        "    return [read('both/x'), read('only-one'), read('only-two'), sorted(os.listdir('/opt/both')), error]\n"
    )
    name = functions.make(source, Layers=[one, two])
    assert functions.call(name) == ["2", "1", "2", ["one", "x"], 30]
    functions.update(name, Layers=[two, one])
    assert functions.call(name)[0] == "1"


def test_five_layers_and_what_functions_cannot_have(lambda_, functions):
    arns = [publish(lambda_, {f"file-{i}": "x"}) for i in range(5)]
    listing = "import os\ndef handler(event, context):\n    return sorted(os.listdir('/opt'))\n"
    assert functions.call(functions.make(listing, Layers=arns)) == [f"file-{i}" for i in range(5)]
    layer = unique("layer")
    first, second = publish(lambda_, {"x": "1"}, layer), publish(lambda_, {"x": "2"}, layer)
    twice = "Two different versions of the same layer are not allowed to be referenced in the same function. "
    with invalid(f"{twice}{first} and {second} are versions of the same layer."):
        functions.create(Layers=[first, second])
    with invalid(f"{twice}{first} and {first} are versions of the same layer."):
        functions.create(Layers=[first, first])
    with invalid("Layers are not in the same region as the function. Layers are expected to be in region us-east-1."):
        functions.create(Layers=[first.replace("us-east-1", "eu-west-1")])
    with invalid("Cannot reference more than 5 layers."):
        functions.create(Layers=[*arns, first])


@pytest.mark.seconds(180)
def test_code_and_layers_have_250_mb_together(lambda_, functions):
    big = zip_files({"zeros": bytes(140_000_000)})
    arns = [
        lambda_.publish_layer_version(LayerName=unique("big"), Content={"ZipFile": big})["LayerVersionArn"] for _ in range(2)
    ]
    code = "def handler(event, context):\n    return 1\n"
    with invalid(
        "Function code combined with layers exceeds the maximum allowed size of 262144000 bytes. "
        f"The actual size is {280_000_000 + len(code)} bytes."
    ):
        functions.create(code, Layers=arns)
    assert functions.call(functions.make(code, Layers=arns[:1])) == 1


# --- what the runtimes find ---

PYTHON_LAYER = {
    "python/top.py": "WHERE = 'python'\n",
    f"python/lib/{PYTHON}/site-packages/deep.py": "WHERE = 'site-packages'\n",
    "bin/tool": "#!/bin/sh\necho tool\n",
}
PYTHON_SOURCE = (
    "import os, subprocess, top, deep\n"
    "def handler(event, context):\n"
    "    tool = subprocess.run(['tool'], capture_output=True, text=True).stdout\n"
    "    return [top.WHERE, deep.WHERE, tool, '/opt/lib' in os.environ['LD_LIBRARY_PATH'].split(':')]\n"
)


@pytest.mark.parametrize(
    "settings, is_published",
    [({}, False), ({"Environment": {"Variables": {"PYTHONHASHSEED": "1"}}}, False), ({"SnapStart": {"ApplyOn": "PublishedVersions"}}, True)],
    ids=["forked", "executed", "restored"],
)
def test_python_finds_modules_and_programs(lambda_, functions, settings, is_published):
    arn = publish(lambda_, PYTHON_LAYER, executable=("bin/tool",))
    name = functions.make(PYTHON_SOURCE, Layers=[arn], **settings)
    where = {"Qualifier": functions.publish(name)["Version"]} if is_published else {}
    assert functions.call(name, **where) == ["python", "site-packages", "tool\n", True]


def test_code_of_the_function_comes_before_that_of_a_layer(lambda_, functions):
    arn = publish(lambda_, {"python/lib.py": "WHERE = 'layer'\n"})
    files = {"lambda_function.py": "import lib\ndef handler(e, c):\n    return lib.WHERE\n", "lib.py": "WHERE = 'function'\n"}
    assert functions.call(functions.make(files=files, Layers=[arn])) == "function"


@pytest.mark.skipif(not shutil.which("node"), reason="node is not on this machine")
@pytest.mark.parametrize("options", [{}, {"NODE_OPTIONS": "--no-warnings"}], ids=["stem", "executed"])
def test_node_finds_packages(lambda_, functions, options):
    version = NODE.removesuffix(".x")
    arn = publish(
        lambda_,
        {
            "nodejs/node_modules/wide/index.js": "module.exports = 'wide';\n",
            f"nodejs/{version.replace('nodejs', 'node')}/node_modules/deep/index.js": "module.exports = 'deep';\n",
        },
    )
    source = "exports.handler = async () => [require('wide'), require('deep')];\n"
    name = functions.make(source, runtime=NODE, Layers=[arn], Environment={"Variables": options})
    assert functions.call(name) == ["wide", "deep"]


@pytest.mark.skipif(not shutil.which("ruby"), reason="ruby is not on this machine")
def test_ruby_finds_libraries_and_gems(lambda_, functions):
    version = RUBY.removeprefix("ruby") + ".0"
    spec = "Gem::Specification.new { |s| s.name = 'deep'; s.version = '1.0'; s.summary = s.authors = 'x'; s.files = [] }\n"
    arn = publish(
        lambda_,
        {
            "ruby/lib/wide.rb": "WIDE = 'wide'\n",
            f"ruby/gems/{version}/specifications/deep-1.0.gemspec": spec,
            f"ruby/gems/{version}/gems/deep-1.0/lib/deep.rb": "DEEP = 'deep'\n",
        },
    )
    source = "require 'wide'\nrequire 'deep'\ndef handler(event:, context:)\n  [WIDE, DEEP]\nend\n"
    assert functions.call(functions.make(source, runtime=RUBY, Layers=[arn])) == ["wide", "deep"]


BOOTSTRAP = """#!/bin/bash
exec 3<>/dev/tcp/${AWS_LAMBDA_RUNTIME_API/:/\\/}
printf 'GET /2018-06-01/runtime/invocation/next HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n' >&3
ID=$(tr -d '\\r' <&3 | sed -n 's/^[Ll]ambda-[Rr]untime-[Aa]ws-[Rr]equest-[Ii]d: //p')
exec 3>&- 3<>/dev/tcp/${AWS_LAMBDA_RUNTIME_API/:/\\/}
BODY="\\"$0\\""
printf 'POST /2018-06-01/runtime/invocation/%s/response HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: %s\\r\\n\\r\\n%s' "$ID" "${#BODY}" "$BODY" >&3
read -r _ <&3
sleep 1000
"""


def test_a_bootstrap_of_a_layer_runs_when_the_function_has_none(lambda_, functions):
    arn = publish(lambda_, {"bootstrap": BOOTSTRAP}, executable=("bootstrap",))
    without = functions.make(files={"data": "x"}, runtime=PROVIDED, Layers=[arn])
    assert functions.call(without) == "/opt/bootstrap"
    both = functions.make(files={"bootstrap": BOOTSTRAP}, runtime=PROVIDED, Layers=[arn])
    assert functions.call(both) == "/var/task/bootstrap"
