"""CloudWatch's metrics: what Lambda's own say, and what clients put, read back with the SDK and with the query protocol."""

import datetime
import gzip
import json
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request
import xml.etree.ElementTree

import pytest

from harness.errors import error
from harness.functions import unique
from harness.urls import ask, make_url

FAILS = "def handler(event, context):\n    raise Exception('no')\n"


@pytest.fixture(scope="module")
def cloudwatch(aws):
    return aws.client("cloudwatch", disable_request_compression=True)


def now():
    return datetime.datetime.now(datetime.timezone.utc)


def minutes(count):
    return datetime.timedelta(minutes=count)


def statistics(cloudwatch, space, name, dimensions=(), stats=("Sum", "SampleCount"), **more):
    """All values of the last quarter of an hour as one: {statistic: value}, None when there are none."""
    answer = cloudwatch.get_metric_statistics(
        Namespace=space,
        MetricName=name,
        Dimensions=[{"Name": key, "Value": value} for key, value in dimensions],
        StartTime=now() - minutes(15),
        EndTime=now() + minutes(15),
        Period=3600,
        Statistics=list(stats),
        **more,
    )
    assert answer["Label"] == name
    points = answer["Datapoints"]
    if not points:
        return None
    result = {stat: sum(point[stat] for point in points) for stat in ("Sum", "SampleCount") if stat in stats}
    for stat, choose in (("Minimum", min), ("Maximum", max)):
        if stat in stats:
            result[stat] = choose(point[stat] for point in points)
    return result


def query(space, name, stat, identifier="a", period=60, dimensions=(), **more):
    return {
        "Id": identifier,
        "MetricStat": {
            "Metric": {
                "Namespace": space,
                "MetricName": name,
                "Dimensions": [{"Name": key, "Value": value} for key, value in dimensions],
            },
            "Period": period,
            "Stat": stat,
        },
        **more,
    }


def test_lambdas_own_metrics_of_a_function(functions, cloudwatch):
    name = functions.make()
    functions.publish(name)
    for _ in range(3):
        functions.call(name, {})
    functions.call(name, {}, Qualifier="1")
    of = [("FunctionName", name)]
    assert statistics(cloudwatch, "AWS/Lambda", "Invocations", of) == {"Sum": 4, "SampleCount": 4}
    assert statistics(cloudwatch, "AWS/Lambda", "Errors", of) == {"Sum": 0, "SampleCount": 4}
    assert statistics(cloudwatch, "AWS/Lambda", "Throttles", of) == {"Sum": 0, "SampleCount": 4}
    duration = statistics(cloudwatch, "AWS/Lambda", "Duration", of, ("SampleCount", "Minimum", "Maximum"))
    assert duration["SampleCount"] == 4 and 0 < duration["Minimum"] <= duration["Maximum"] < 60_000
    assert statistics(cloudwatch, "AWS/Lambda", "ConcurrentExecutions", of, ("Maximum",))["Maximum"] >= 1
    resource = [("Resource", f"{name}:1"), ("FunctionName", name)]
    assert statistics(cloudwatch, "AWS/Lambda", "Invocations", resource) == {"Sum": 1, "SampleCount": 1}
    assert statistics(cloudwatch, "AWS/Lambda", "Invocations", [("FunctionName", unique())]) is None


def test_errors_and_throttles_are_counted(functions, cloudwatch):
    name = functions.make(FAILS)
    functions.invoke(name, {})
    functions.client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    with error("TooManyRequestsException"):
        functions.invoke(name, {})
    of = [("FunctionName", name)]
    assert statistics(cloudwatch, "AWS/Lambda", "Invocations", of) == {"Sum": 1, "SampleCount": 2}
    assert statistics(cloudwatch, "AWS/Lambda", "Errors", of) == {"Sum": 1, "SampleCount": 2}
    assert statistics(cloudwatch, "AWS/Lambda", "Throttles", of) == {"Sum": 1, "SampleCount": 2}


def own(cloudwatch, of, *names):
    """{name: Sum} of AWS/Lambda's metrics of these dimensions; None where there are none."""
    found = {name: statistics(cloudwatch, "AWS/Lambda", name, of) for name in names}
    return {name: values and values["Sum"] for name, values in found.items()}


def test_urls_have_metrics_of_their_own(functions, lambda_, cloudwatch):
    source = "def handler(event, context):\n    return {'statusCode': int(event['rawPath'][1:])}\n"
    name = functions.make(source)
    url = make_url(lambda_, name)
    for status in (200, 404, 404, 503, 200):
        assert ask(url, path=f"/{status}").status == status
    assert ask(url, path="/x").status == 502  # the function fails
    names = ("UrlRequestCount", "Url4xxCount", "Url5xxCount", "Invocations", "Errors")
    assert own(cloudwatch, [("FunctionName", name)], *names) == dict(zip(names, (6, 2, 2, 6, 1)))
    latency = statistics(cloudwatch, "AWS/Lambda", "UrlRequestLatency", [("FunctionName", name)], ("SampleCount", "Maximum"))
    assert latency["SampleCount"] == 6 and latency["Maximum"] < 60_000
    iam = functions.make(source)
    assert ask(make_url(lambda_, iam, auth="AWS_IAM")).status == 403
    assert own(cloudwatch, [("FunctionName", iam)], *names) == dict(zip(names, (1, 1, 0, None, None)))


def test_asynchronous_events_have_metrics_of_their_own(functions, lambda_, cloudwatch, eventually):
    good, bad = functions.make(), functions.make(FAILS)
    functions.publish(good)
    lambda_.put_function_event_invoke_config(FunctionName=bad, MaximumRetryAttempts=0)
    for target in (good, f"{good}:1", bad):
        lambda_.invoke(FunctionName=target, InvocationType="Event", Payload="{}")
    names = ("AsyncEventsReceived", "AsyncEventsDropped", "Invocations", "Errors")
    expected = dict(zip(names, (1, 1, 1, 1)))
    eventually(lambda: own(cloudwatch, [("FunctionName", bad)], *names) == expected)
    expected = dict(zip(names, (2, None, 2, 0)))
    eventually(lambda: own(cloudwatch, [("FunctionName", good)], *names) == expected)
    resource = [("FunctionName", good), ("Resource", f"{good}:1")]
    assert own(cloudwatch, resource, *names) == dict(zip(names, (1, None, 1, 0)))
    age = statistics(cloudwatch, "AWS/Lambda", "AsyncEventAge", [("FunctionName", good)], ("SampleCount", "Minimum"))
    assert age["SampleCount"] == 2 and age["Minimum"] >= 0


def test_what_cannot_be_delivered_is_counted(functions, lambda_, cloudwatch, eventually):
    """There is no endpoint for queues here."""
    queue = "arn:aws:sqs:us-east-1:000000000000:q"
    name = functions.make(FAILS, DeadLetterConfig={"TargetArn": queue})
    lambda_.put_function_event_invoke_config(
        FunctionName=name, MaximumRetryAttempts=0, DestinationConfig={"OnFailure": {"Destination": queue}}
    )
    lambda_.invoke(FunctionName=name, InvocationType="Event", Payload="{}")
    names = ("DeadLetterErrors", "DestinationDeliveryFailures", "AsyncEventsDropped")
    eventually(lambda: own(cloudwatch, [("FunctionName", name)], *names) == dict.fromkeys(names, 1))


def test_the_account_as_a_whole(empty_world, aws):
    mine = aws.client("cloudwatch", access_key=empty_world.account)
    first, second = empty_world.make(), empty_world.make()
    empty_world.call(first, {})
    empty_world.call(second, {})
    assert statistics(mine, "AWS/Lambda", "Invocations") == {"Sum": 2, "SampleCount": 2}
    listed = mine.list_metrics(Namespace="AWS/Lambda", MetricName="Invocations")["Metrics"]
    names = [{one["Name"]: one["Value"] for one in metric["Dimensions"]} for metric in listed]
    assert {} in names and {"FunctionName": first} in names and {"FunctionName": first, "Resource": first} in names
    assert len(names) == 5


def test_what_is_put_is_read(cloudwatch):
    space, at = unique("Space"), now().replace(second=0, microsecond=0) - minutes(2)
    data = [
        {"MetricName": "A", "Value": 1, "Unit": "Count", "Timestamp": at},
        {"MetricName": "A", "Value": 3, "Unit": "Count", "Timestamp": at},
        {"MetricName": "A", "Values": [10, 20], "Counts": [1, 2], "Unit": "Count", "Timestamp": at + minutes(1)},
        {
            "MetricName": "B",
            "StatisticValues": {"SampleCount": 4, "Sum": 10, "Minimum": 1, "Maximum": 4},
            "Dimensions": [{"Name": "z", "Value": "1"}, {"Name": "a", "Value": "2"}],
        },
    ]
    cloudwatch.put_metric_data(Namespace=space, MetricData=data)
    answer = cloudwatch.get_metric_data(
        MetricDataQueries=[
            query(space, "A", "Sum", "sums"),
            query(space, "A", "p50", "half", Label="middle"),
            query(space, "B", "Average", "b", dimensions=[("a", "2"), ("z", "1")]),
            query(space, "B", "p50", "blind", dimensions=[("a", "2"), ("z", "1")]),
            query(space, "nothing", "Sum", "nothing"),
            query(space, "A", "Sum", "hidden", ReturnData=False),
        ],
        StartTime=at - minutes(5),
        EndTime=now() + minutes(5),
        ScanBy="TimestampAscending",
    )
    found = {one["Id"]: one for one in answer["MetricDataResults"]}
    assert list(found) == ["sums", "half", "b", "blind", "nothing"]
    assert all(one["StatusCode"] == "Complete" for one in found.values())
    assert (found["sums"]["Timestamps"], found["sums"]["Values"]) == ([at, at + minutes(1)], [4, 50])
    assert found["half"]["Label"] == "middle" and found["sums"]["Label"] == "A"
    assert found["half"]["Values"] == pytest.approx([1, 20], rel=0.011)
    assert found["b"]["Values"] == [2.5]
    assert found["blind"]["Values"] == [] and found["nothing"]["Values"] == []
    assert statistics(cloudwatch, space, "A", stats=("Sum", "Maximum"), Unit="Count") == {"Sum": 54, "Maximum": 20}
    assert statistics(cloudwatch, space, "A", Unit="Bytes") is None


def test_requests_may_be_compressed(aws):
    """As botocore does with bodies of more than 10 KB."""
    packing, space = aws.client("cloudwatch"), unique("Space")
    sent = []
    packing.meta.events.register("before-send.cloudwatch.PutMetricData", lambda request, **_: sent.append(dict(request.headers)))
    data = [{"MetricName": "A" * 50, "Value": i, "Dimensions": [{"Name": "n", "Value": "v"}]} for i in range(500)]
    packing.put_metric_data(Namespace=space, MetricData=data)
    assert sent[0]["Content-Encoding"] in ("gzip", b"gzip")
    assert statistics(packing, space, "A" * 50, [("n", "v")]) == {"Sum": sum(range(500)), "SampleCount": 500}


def form_of(**form):
    return urllib.parse.urlencode({"Version": "2010-08-01", **form}).encode()


def packed(cloudwatch, body):
    """The status and the body of a form that says it is compressed."""
    ask = urllib.request.Request(cloudwatch.meta.endpoint_url, body, {"Content-Encoding": "gzip"})
    try:
        with urllib.request.urlopen(ask) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read()


def test_a_compressed_query_is_found_out(cloudwatch):
    space = unique("Space")
    one = {"Action": "PutMetricData", "Namespace": space, "MetricData.member.1.MetricName": "A", "MetricData.member.1.Value": "2"}
    body = gzip.compress(form_of(**one))
    assert packed(cloudwatch, body)[0] == 200
    assert statistics(cloudwatch, space, "A") == {"Sum": 2, "SampleCount": 1}
    for damaged in (form_of(**one), body[:-1], body + b"x", b""):
        status, said = packed(cloudwatch, damaged)
        assert status == 400 and b"Content-Encoding" in said
    status, said = packed(cloudwatch, gzip.compress(form_of(**one, junk="x" * 7_000_000)))
    assert status == 413 and b"unpacked" in said
    assert statistics(cloudwatch, space, "A") == {"Sum": 2, "SampleCount": 1}


def test_data_come_in_pages_the_newest_first(cloudwatch):
    space, at = unique("Space"), now().replace(second=0, microsecond=0) - minutes(10)
    data = [{"MetricName": "A", "Value": i, "Timestamp": at + minutes(i)} for i in range(5)]
    cloudwatch.put_metric_data(Namespace=space, MetricData=data)
    request = {
        "MetricDataQueries": [query(space, "A", "Sum", "a"), query(space, "A", "Maximum", "b")],
        "StartTime": at,
        "EndTime": now(),
        "MaxDatapoints": 3,
    }
    seen = {"a": [], "b": []}
    for _ in range(4):
        answer = cloudwatch.get_metric_data(**request)
        for one in answer["MetricDataResults"]:
            seen[one["Id"]] += one["Values"]
        if "NextToken" not in answer:
            break
        request["NextToken"] = answer["NextToken"]
    assert seen == {"a": [4, 3, 2, 1, 0], "b": [4, 3, 2, 1, 0]}


def test_percentiles_of_statistics(cloudwatch):
    space = unique("Space")
    cloudwatch.put_metric_data(Namespace=space, MetricData=[{"MetricName": "A", "Values": list(range(1, 101))}])
    answer = cloudwatch.get_metric_statistics(
        Namespace=space,
        MetricName="A",
        StartTime=now() - minutes(5),
        EndTime=now() + minutes(5),
        Period=86400,
        ExtendedStatistics=["p90", "p99"],
    )
    (point,) = answer["Datapoints"]
    assert point["Unit"] == "None"
    assert point["ExtendedStatistics"]["p90"] == pytest.approx(90, rel=0.02)
    assert point["ExtendedStatistics"]["p99"] == pytest.approx(99, rel=0.02)


def test_metrics_are_listed_in_pages_and_by_dimension(cloudwatch):
    space = unique("Space")
    data = [{"MetricName": "A", "Value": 1, "Dimensions": [{"Name": "n", "Value": str(i)}]} for i in range(501)]
    cloudwatch.put_metric_data(Namespace=space, MetricData=data[:250])
    cloudwatch.put_metric_data(Namespace=space, MetricData=data[250:500])
    cloudwatch.put_metric_data(Namespace=space, MetricData=data[500:])
    first = cloudwatch.list_metrics(Namespace=space)
    assert len(first["Metrics"]) == 500
    second = cloudwatch.list_metrics(Namespace=space, NextToken=first["NextToken"])
    assert len(second["Metrics"]) == 1 and "NextToken" not in second
    (one,) = cloudwatch.list_metrics(
        Namespace=space, Dimensions=[{"Name": "n", "Value": "7"}], RecentlyActive="PT3H"
    )["Metrics"]
    assert one == {"Namespace": space, "MetricName": "A", "Dimensions": [{"Name": "n", "Value": "7"}]}
    assert cloudwatch.list_metrics(Namespace=space, Dimensions=[{"Name": "other"}])["Metrics"] == []
    assert cloudwatch.list_metrics(Namespace=space, OwningAccount="999999999999")["Metrics"] == []


@pytest.mark.parametrize(
    "datum, code, message",
    [
        ({"Value": 1, "Values": [1]}, "InvalidParameterCombination", "mutually exclusive"),
        ({"Values": [1, 2], "Counts": [1]}, "InvalidParameterValue", "must be of the same size"),
        ({}, "MissingParameter", "must be specified"),
        ({"Value": 1, "Timestamp": datetime.datetime(2020, 1, 1)}, "InvalidParameterValue", "Timestamp"),
        ({"Value": 1e100}, "InvalidParameterValue", "Value is invalid"),
        ({"Value": 1, "StorageResolution": 1}, "InvalidParameterValue", "not available in mayfly yet"),
    ],
)
def test_what_cannot_be_put_is_refused_and_nothing_of_it_kept(cloudwatch, datum, code, message):
    space = unique("Space")
    with error(code, status=400) as caught:
        cloudwatch.put_metric_data(
            Namespace=space, MetricData=[{"MetricName": "A", "Value": 1}, {"MetricName": "A", **datum}]
        )
    assert message in caught.message
    assert cloudwatch.list_metrics(Namespace=space)["Metrics"] == []


def test_lambdas_own_cannot_be_put(cloudwatch):
    with error("InvalidParameterValue", "The value AWS/ for parameter Namespace is invalid.", 400):
        cloudwatch.put_metric_data(Namespace="AWS/Lambda", MetricData=[{"MetricName": "Errors", "Value": 1}])


def test_what_is_not_there_says_so(cloudwatch):
    times = {"StartTime": now() - minutes(5), "EndTime": now()}
    with error("ValidationError") as caught:
        cloudwatch.get_metric_data(MetricDataQueries=[{"Id": "e", "Expression": "SUM(METRICS())"}], **times)
    assert "Metric math" in caught.message
    with error("InvalidParameterValue") as caught:
        cloudwatch.get_metric_data(MetricDataQueries=[query("S", "A", "tm99")], **times)
    assert "statistic tm99" in caught.message
    with error("NotImplementedException") as caught:
        cloudwatch.describe_alarms()
    assert "DescribeAlarms" in caught.message
    request = {"Namespace": "S", "MetricName": "A", "Period": 60, "Statistics": ["Sum"]}
    with error("InvalidParameterCombination") as caught:
        cloudwatch.get_metric_statistics(StartTime=now() - minutes(1441), EndTime=now(), **request)
    assert "exceeds the limit of 1,440" in caught.message


def test_metrics_outlive_the_daemon(another_daemon, aws_of):
    daemon = another_daemon()
    functions, cloudwatch = aws_of(daemon).functions(), aws_of(daemon).client("cloudwatch")
    name = functions.make()
    functions.call(name, {})
    assert daemon.stop() == 0
    daemon.start()
    found = statistics(cloudwatch, "AWS/Lambda", "Invocations", [("FunctionName", name)])
    assert found == {"Sum": 1, "SampleCount": 1}


def test_older_clients_speak_the_query_protocol(cloudwatch):
    space = unique("Space")

    def ask(**form):
        body = urllib.parse.urlencode({"Version": "2010-08-01", **form}).encode()
        with urllib.request.urlopen(urllib.request.Request(cloudwatch.meta.endpoint_url, body)) as answer:
            return xml.etree.ElementTree.fromstring(answer.read())

    ask(
        **{
            "Action": "PutMetricData",
            "Namespace": space,
            "MetricData.member.1.MetricName": "A",
            "MetricData.member.1.Value": "2.5",
            "MetricData.member.1.Dimensions.member.1.Name": "n",
            "MetricData.member.1.Dimensions.member.1.Value": "v",
        }
    )
    inside = "{http://monitoring.amazonaws.com/doc/2010-08-01/}"
    listed = ask(Action="ListMetrics", Namespace=space)
    assert [one.text for one in listed.iter(inside + "MetricName")] == ["A"]
    found = ask(
        **{
            "Action": "GetMetricStatistics",
            "Namespace": space,
            "MetricName": "A",
            "Dimensions.member.1.Name": "n",
            "Dimensions.member.1.Value": "v",
            "StartTime": (now() - minutes(5)).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "EndTime": (now() + minutes(5)).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "Period": "300",
            "Statistics.member.1": "Sum",
        }
    )
    assert sum(float(one.text) for one in found.iter(inside + "Sum")) == 2.5
    with pytest.raises(urllib.error.HTTPError) as refused:
        ask(Action="GetMetricStatistics", Namespace=space)
    assert refused.value.code == 400 and b"<Code>" in refused.value.read()


def test_the_command_line_reads_them(functions, aws_environment):
    name = functions.make()
    functions.call(name, {})
    command = [
        shutil.which("aws") or pytest.fail("no aws"),
        "--endpoint-url",
        aws_environment["AWS_ENDPOINT_URL"],
        "cloudwatch",
        "get-metric-statistics",
        "--namespace=AWS/Lambda",
        "--metric-name=Invocations",
        f"--dimensions=Name=FunctionName,Value={name}",
        f"--start-time={(now() - minutes(15)).isoformat()}",
        f"--end-time={(now() + minutes(15)).isoformat()}",
        "--period=3600",
        "--statistics=Sum",
        "--output=json",
    ]
    done = subprocess.run(command, env=aws_environment, capture_output=True, text=True, timeout=60, check=True)
    assert sum(point["Sum"] for point in json.loads(done.stdout)["Datapoints"]) == 1
