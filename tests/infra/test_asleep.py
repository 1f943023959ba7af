"""An endpoint that sleeps keeps what others have, wakes by its backlog and tells of failures."""

import json

import pytest

from tests.infra.variants import (
    all_before,
    environment_of,
    named,
    of_pack,
    only,
    principals_of,
    resources,
)

ENDPOINT = "sashiko-dev-complaint-triage"
CAPTURE = "sashiko-dev-capture-111122223333-us-east-1"
CONFIG = "AWS::SageMaker::EndpointConfig"
POLICY = "AWS::ApplicationAutoScaling::ScalingPolicy"


@pytest.fixture(scope="session")
def asleep(templates):
    return templates("asleep")["Serving"]


def test_vpc_isolation_keys_and_the_package_are_those_of_any_endpoint(asleep, templates):
    other = templates("serving")["Serving"]
    model, config = only(asleep, "AWS::SageMaker::Model"), only(asleep, CONFIG)
    unnamed = [
        {key: value for key, value in one.items() if key != "PrimaryContainer"}
        for one in (model, only(other, "AWS::SageMaker::Model"))
    ]
    assert unnamed[0].keys() == unnamed[1].keys()
    assert unnamed[0]["EnableNetworkIsolation"] is True
    assert unnamed[0]["VpcConfig"] == unnamed[1]["VpcConfig"]
    assert model["PrimaryContainer"]["ModelPackageName"].endswith("/3")
    assert config["KmsKeyId"] == only(other, CONFIG)["KmsKeyId"]


def test_answers_and_failures_are_below_their_version_under_the_key_of_captures(asleep):
    config = only(asleep, CONFIG)
    output = config["AsyncInferenceConfig"]["OutputConfig"]
    place, alias = f"s3://{CAPTURE}/{ENDPOINT}/version=3", "alias/sashiko-dev-capture"
    assert (output["S3OutputPath"], output["S3FailurePath"]) == (
        f"{place}/output", f"{place}/failure",
    )  # fmt: skip
    assert output["KmsKeyId"].endswith(alias)
    topic = "arn:aws:sns:us-east-1:111122223333:sashiko-dev-answers"
    assert output["NotificationConfig"] == {"SuccessTopic": topic, "ErrorTopic": topic}
    assert only(asleep, "AWS::SNS::Topic")["TopicName"] == "sashiko-dev-answers"
    # Whether SageMaker captures data of a queue, and how it routes one, is not documented.
    assert "DataCaptureConfig" not in config
    assert "RoutingConfig" not in config["ProductionVariants"][0]


def test_it_scales_to_zero_by_its_backlog_and_a_step_policy_alone_wakes_it(asleep):
    target = only(asleep, "AWS::ApplicationAutoScaling::ScalableTarget")
    assert (target["MinCapacity"], target["MaxCapacity"]) == (0, 4)
    policies = {
        item["Properties"]["PolicyName"]: (name, item["Properties"])
        for name, item in resources(asleep, POLICY).items()
    }
    tracking = policies["backlog-per-instance"][1]["TargetTrackingScalingPolicyConfiguration"]
    metric = tracking["CustomizedMetricSpecification"]
    assert metric["MetricName"] == "ApproximateBacklogSizePerInstance"
    assert metric["Dimensions"] == [{"Name": "EndpointName", "Value": ENDPOINT}]
    assert tracking["TargetValue"] == 5
    name, wake = policies["wake"]
    (step,) = wake["StepScalingPolicyConfiguration"]["StepAdjustments"]
    assert step == {"MetricIntervalLowerBound": 0, "ScalingAdjustment": 1}
    alarm = named(asleep, "AWS::CloudWatch::Alarm", "AlarmName")["sashiko-dev-endpoint-wake"]
    assert alarm["MetricName"] == "HasBacklogWithoutCapacity"
    assert (alarm["ComparisonOperator"], alarm["Threshold"]) == (
        "GreaterThanOrEqualToThreshold", 1,
    )  # fmt: skip
    assert alarm["Dimensions"] == [{"Name": "EndpointName", "Value": ENDPOINT}]
    assert alarm["AlarmActions"] == [{"Ref": name}]


def test_an_update_wakes_two_first_sends_a_canary_and_is_judged_last(asleep):
    (endpoint,) = resources(asleep, "AWS::SageMaker::Endpoint")
    (woken,), (judged,) = (resources(asleep, f"Custom::{word}") for word in ("Woken", "Judged"))
    assert woken in all_before(asleep, endpoint)
    assert {endpoint, *resources(asleep, POLICY)} <= all_before(asleep, judged)
    policy = only(asleep, "AWS::SageMaker::Endpoint")["DeploymentConfig"]["BlueGreenUpdatePolicy"]
    assert policy["TrafficRoutingConfiguration"]["Type"] == "CANARY"
    # Another configuration is another pair, which a rollback only deletes.
    config = only(asleep, CONFIG)["EndpointConfigName"]
    assert {only(asleep, f"Custom::{word}")["Config"] for word in ("Woken", "Judged")} == {config}


def test_no_alarm_calls_a_silent_endpoint_idle_or_dead(asleep, templates):
    alarms = named(asleep, "AWS::CloudWatch::Alarm", "AlarmName")
    kinds = {name.removeprefix("sashiko-dev-endpoint-") for name in alarms}
    assert {"backlog-age", "failed", "expired", "awake", "wake"} <= kinds
    assert "idle" not in kinds
    # An asynchronous endpoint publishes no other metrics of these.
    metrics = {item["MetricName"] for item in alarms.values()}
    assert not metrics & {"Invocations", "InvocationsPerInstance", "OverheadLatency"}
    for item in alarms.values():
        assert item["TreatMissingData"] in {"notBreaching", "missing"}
    monitors = named(templates("asleep")["Pipeline"], "AWS::CloudWatch::Alarm", "AlarmName")
    assert "sashiko-dev-monitor-captured-rows" not in monitors
    assert of_pack("monitoring", "sashiko-dev-monitor-did-not-run") <= monitors.keys()


READS, WRITES, DELETES = "s3:GetObject", "s3:PutObject", "s3:DeleteObject"


@pytest.mark.parametrize(
    ("role", "may"),
    [
        ("inference", {READS: "input", WRITES: "*"}),
        ("endpoint-caller", {READS: "output failure", WRITES: "input"}),
        ("rollout", {READS: "judge"}),
        pytest.param(
            "privacy-officer",
            {READS: "sashiko-dev-*", DELETES: "sashiko-dev-*"},
            marks=pytest.mark.skipif(not of_pack("monitoring", "x"), reason="left out"),
        ),
    ],
)
def test_who_reads_and_writes_the_objects(role, may):
    environment, principal = environment_of("asleep"), principals_of("asleep")[role]
    for action in (READS, WRITES, DELETES):
        paths = set(environment.object_paths(principal, action, CAPTURE))
        named = {path.rpartition("/")[0].rpartition("/")[2] or "*" for path in paths}
        expected = set(may.get(action, "").split())
        if expected == {"judge"}:
            assert {path.rpartition("/")[2] for path in paths} == {"*judge-*"}
        else:
            assert named == expected, (action, paths)


def test_a_caller_asks_and_changes_nothing_and_other_environments_have_neither_role():
    environment, roles = environment_of("asleep"), principals_of("asleep")
    endpoint = environment.arn("sagemaker", f"endpoint/{ENDPOINT}")
    assert roles["endpoint-caller"].may("sagemaker:InvokeEndpointAsync", endpoint)
    for action in ("UpdateEndpoint", "DeleteEndpoint", "CreateModel", "InvokeEndpoint"):
        assert not roles["endpoint-caller"].may(f"sagemaker:{action}", endpoint)
        assert not roles["rollout"].may(f"sagemaker:{action}", endpoint)
    assert not {"endpoint-caller", "rollout"} & principals_of("serving").keys()


def test_a_real_time_endpoint_has_nothing_of_it(templates):
    text = json.dumps(templates("serving"))
    for word in ("Async", "Custom::Woken", "Custom::Judged", "HasBacklog", "sashiko-dev-answers"):
        assert word not in text
