import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import assertions
from aws_cdk import aws_kms as kms

from sashiko.account.access.environment_access import read_environment
from sashiko.account.names import alerts_topic_arn, bucket_name, etl_name, lake_uri
from sashiko.contract.load import load_contract
from sashiko.contract.model import ExistingTable
from sashiko.errors import InputError
from sashiko.settings.recipe import load_recipe
from sashiko_cdk.events.notifications import notice_flow
from sashiko_cdk.identity.role_table import CORE, role_records
from sashiko_packs.monitoring.capture.record import row_schema
from sashiko_packs.monitoring.checks import KINDS
from sashiko_packs.monitoring.constructs import flow as flows
from sashiko_packs.monitoring.constructs.access import captured_table
from sashiko_packs.monitoring.constructs.alarms import outcome_flow
from sashiko_packs.monitoring.constructs.flow import window_flow
from sashiko_packs.monitoring.steps.judge import capture_checks
from tests.infra import variants
from tests.infra.sample_events import execution_ended, scheduled
from tests.infra.step_functions import account
from tests.infra.test_lake_buckets import buckets_of
from tests.infra.test_pipeline_places import CAPTURE, GROUP
from tests.packs.monitoring.report.windows import windows


def test_answered_requests_are_a_table_whose_every_column_is_pii(templates):
    """Derived from the contract and the rows that ReadCapture writes; nobody is granted it."""
    (contract,) = (
        c for c in variants.contracts_of(variants.settings_of("dev")) if c.table == "complaints"
    )
    (table,) = (
        item["Properties"]["TableInput"]
        for item in variants.some(templates("dev")["DataLake"], "AWS::Glue::Table").values()
        if item["Properties"]["TableInput"]["Name"] == "complaints_captured"
    )
    storage = table["StorageDescriptor"]
    schema = row_schema(contract.text_columns)
    types = {column["Name"]: column["Type"] for column in storage["Columns"]}
    assert list(types) == schema.names
    assert types["input"] == f"struct<{','.join(f'{n}:string' for n in contract.text_columns)}>"
    bucket = "sashiko-dev-capture-111122223333-us-east-1"
    assert storage["Location"] == f"s3://{bucket}/monitor/{GROUP}/"
    governance = templates("dev")["Governance"]
    tags = [
        item["Properties"]
        for item in variants.some(governance, "AWS::LakeFormation::TagAssociation").values()
        if "complaints_captured" in json.dumps(item["Properties"]["Resource"])
    ]
    assert [tag for tag in tags if "TableWithColumns" in tag["Resource"]] == []
    values = {tag["LFTags"][0]["TagKey"]: tag["LFTags"][0]["TagValues"] for tag in tags}
    assert values["sashiko-sensitivity"] == ["pii"]
    assert values["sashiko-environment"] == ["dev"]


SETTINGS = variants.settings_of("dev")
ARN = variants.PACKAGE.format("111122223333", "dev")
ARTIFACTS = bucket_name(SETTINGS, "artifacts")
OUTCOME = f"monitor/{GROUP}/windows/3/20261116T000000Z/20261123T000000Z/monitor.json"
MONDAY = "2026-11-23T06:00:00Z"
LOAD, OLD = "20261122T020000Z", "20261101T020000Z"
RUNS = f"s3://{ARTIFACTS}/runs/an-execution"
RECIPE = load_recipe(variants.ROOT / "recipes/complaints.yaml")
METADATA = {
    "reference_uri": f"{RUNS}/Evaluate/reference",
    "test_uri": f"{RUNS}/Prepare/test",
    "bias_rows_uri": f"s3://{bucket_name(SETTINGS, 'snapshots')}/facets/an-execution",
    "recipe": "complaints",
}


@pytest.fixture
def aws():
    with account() as fake:
        fake.answers["DescribeModelPackage"] = lambda _: {"CustomerMetadataProperties": METADATA}
        fake.answers["ListObjectsV2"] = lambda _: {"KeyCount": 1}
        fake.answers["GetJobRuns"] = lambda _: {"JobRuns": [_load("SUCCEEDED", LOAD)]}
        fake.answers["StartPipelineExecution"] = lambda _: {}
        yield fake


def _started(aws, time=MONDAY):
    assert aws.run(_window_flow(), scheduled(time)).status == "SUCCEEDED"
    (start,) = _starts(aws)
    return _parameters(start)


def _window_flow():
    return window_flow(SETTINGS, RECIPE, package_arn=ARN, table="complaints")


def _load(state, as_of, *, completed="2026-11-22T02:10:00Z"):
    arguments = {"--as-of": as_of} if as_of else {}
    return {"JobRunState": state, "Arguments": arguments, "CompletedOn": completed}


def _starts(aws):
    return [arguments for operation, arguments in aws.calls if operation.startswith("StartPipe")]


def _parameters(start):
    return {item["Name"]: item["Value"] for item in start["PipelineParameters"]}


def test_of_another_owners_table_the_one_job_takes_the_newest_snapshot(aws, monkeypatch):
    contract = load_contract(Path(RECIPE.contract))
    other = contract.model_copy(update={"lake": ExistingTable(database="sales", table="claims")})
    monkeypatch.setattr(flows, "load_contract", lambda _: other)
    assert _started(aws)["AsOf"] == "latest"
    assert not [operation for operation, _ in aws.calls if operation == "GetJobRuns"]


@pytest.mark.parametrize("time", [MONDAY, "2026-11-23T23:59:59Z"])
def test_a_schedule_judges_the_seven_days_before_its_day(aws, time):
    flow = _window_flow()
    assert aws.run(flow, scheduled(time)).status == "SUCCEEDED"
    (start,) = _starts(aws)
    assert start["PipelineName"] == "sashiko-dev-complaints-monitor"
    assert _parameters(start) == {
        "CaptureUri": f"s3://{CAPTURE}/{GROUP}/", "ModelVersion": "3",
        "WindowStart": "20261116T000000Z", "WindowEnd": "20261123T000000Z",
        "Now": datetime.fromisoformat(time).astimezone(UTC).strftime("%Y%m%dT%H%M%SZ"),
        "ReferenceUri": METADATA["reference_uri"], "TestUri": METADATA["test_uri"],
        "BiasRowsUri": METADATA["bias_rows_uri"], "AsOf": LOAD,
    }  # fmt: skip
    looks = dict(call for call in aws.calls if call[0] == "ListObjectsV2")
    assert looks["ListObjectsV2"]["Prefix"] == f"{GROUP}/"


def test_a_person_starts_the_same_week_for_the_version_before_a_deploy(aws):
    event = {"time": MONDAY, "model_version": 2}
    assert aws.run(_window_flow(), event).status == "SUCCEEDED"
    assert aws.run(_window_flow(), scheduled(MONDAY)).status == "SUCCEEDED"
    before, served = _starts(aws)
    assert _parameters(before) == _parameters(served) | {"ModelVersion": "2"}
    assert before["ClientRequestToken"] != served["ClientRequestToken"]
    read = [arguments for name, arguments in aws.calls if name == "DescribeModelPackage"]
    assert [item["ModelPackageName"] for item in read] == [f"{ARN.rpartition('/')[0]}/2", ARN]


def test_it_names_each_parameter_without_default_and_what_reads_the_lake_alone_has_a_network(aws):
    pipelines = variants.pipelines_of(SETTINGS, variants.recipes_of(SETTINGS))
    (monitor,) = [item for item in pipelines if item.module == "monitor"]
    declared = monitor.definition["Parameters"]
    required = [item["Name"] for item in declared if "DefaultValue" not in item]
    assert list(_started(aws)) == required
    (lake,) = [item for item in declared if "DefaultValue" in item]
    assert lake["DefaultValue"] == lake_uri(SETTINGS)

    networks = {
        step["Name"]: step["Arguments"]["NetworkConfig"]["EnableNetworkIsolation"]
        for step in monitor.definition["Steps"]
    }
    assert [name for name, isolated in networks.items() if not isolated] == ["MonitorBias"]


LOADS = [_load("SUCCEEDED", LOAD), _load("SUCCEEDED", OLD)]  # Glue returns the newest first
# So that an event that is delivered again names the same.
LATE = _load("SUCCEEDED", "20261123T055000Z", completed="2026-11-23T06:00:01Z")


@pytest.mark.parametrize(
    ("loads", "as_of"),
    [
        ([_load("FAILED", "20261123T020000Z"), *LOADS], LOAD),
        ([LATE, *LOADS], LOAD),
        ([_load("RUNNING", "20261123T020000Z"), _load("SUCCEEDED", None)], "none"),
        ([], "none"),
    ],
    ids=["newest", "before the event", "none succeeded", "no load"],
)
def test_facets_are_those_of_the_newest_load_that_succeeded(aws, loads, as_of):
    aws.answers["GetJobRuns"] = lambda _: {"JobRuns": loads}
    assert _started(aws)["AsOf"] == as_of
    (job,) = [arguments["JobName"] for name, arguments in aws.calls if name == "GetJobRuns"]
    assert job == etl_name(SETTINGS, "complaints")


def test_where_bias_is_not_judged_nothing_asks_for_a_load(aws):
    unjudged = RECIPE.bias.model_copy(update={"judged": False})
    recipe = RECIPE.model_copy(update={"bias": unjudged})
    flow = window_flow(SETTINGS, recipe, package_arn=ARN, table="complaints")
    assert aws.run(flow, scheduled(MONDAY)).status == "SUCCEEDED"
    (start,) = _starts(aws)
    assert {"AsOf", "BiasRowsUri"}.isdisjoint(_parameters(start))
    assert "GetJobRuns" not in [name for name, _ in aws.calls]


def test_an_event_that_is_delivered_twice_starts_the_same_execution(aws):
    flow = _window_flow()
    for time in (MONDAY, MONDAY, "2026-11-30T06:00:00Z"):
        aws.run(flow, scheduled(time))
    first, again, next_week = (start["ClientRequestToken"] for start in _starts(aws))
    assert first == again != next_week


@pytest.mark.parametrize("lacking", ["reference_uri", "test_uri", "bias_rows_uri"])
def test_a_version_that_names_no_reference_is_not_judged(aws, lacking):
    rest = {key: value for key, value in METADATA.items() if key != lacking}
    aws.answers["DescribeModelPackage"] = lambda _: {"CustomerMetadataProperties": rest}
    outcome = aws.run(_window_flow(), scheduled(MONDAY))
    assert (outcome.status, outcome.error) == ("FAILED", "NoReference")
    assert "version 3 does not name what its answers are compared with" in outcome.cause
    assert _starts(aws) == []


def test_where_nothing_was_captured_nothing_starts(aws):
    aws.answers["ListObjectsV2"] = lambda _: {"KeyCount": 0}
    outcome = aws.run(_window_flow(), scheduled(MONDAY))
    assert (outcome.status, outcome.error) == ("FAILED", "NothingCaptured")
    assert f"the endpoint {GROUP} has captured no request yet" in outcome.cause
    assert _starts(aws) == []


def test_a_silent_endpoint_that_sleeps_is_judged_without_captures(aws):
    aws.answers["ListObjectsV2"] = lambda _: {"KeyCount": 0}
    flow = window_flow(_asleep(), RECIPE, package_arn=ARN, table="complaints")
    assert aws.run(flow, scheduled(MONDAY)).status == "SUCCEEDED"
    # SageMaker refuses an input without an object; earlier windows are always there, and no lines.
    (start,) = _starts(aws)
    assert _parameters(start)["CaptureUri"] == f"s3://{ARTIFACTS}/monitor/{GROUP}/windows/"
    assert _parameters(start)["AsOf"] == LOAD

    aws.answers["ListObjectsV2"] = lambda _: {"KeyCount": 1}
    aws.run(flow, scheduled(MONDAY))
    assert _parameters(_starts(aws)[-1])["CaptureUri"] == f"s3://{CAPTURE}/{GROUP}/"


def test_where_nothing_is_served_the_newest_approved_version_is_judged(aws):
    aws.answers["ListModelPackages"] = lambda _: {
        "ModelPackageSummaryList": [{"ModelPackageVersion": 7}]
    }
    flow = window_flow(SETTINGS, RECIPE, package_arn=None, table="complaints")
    assert aws.run(flow, scheduled(MONDAY)).status == "SUCCEEDED"
    assert _parameters(_starts(aws)[-1])["ModelVersion"] == "7"
    assert aws.run(flow, scheduled(MONDAY) | {"model_version": 5}).status == "SUCCEEDED"
    assert _parameters(_starts(aws)[-1])["ModelVersion"] == "5"
    # As SageMaker writes it, whatever the group's case: IAM compares ARNs by it.
    capitals = RECIPE.model_copy(update={"model_package_group": "Triage"})
    flow = window_flow(SETTINGS, capitals, package_arn=None, table="complaints")
    aws.run(flow, scheduled(MONDAY) | {"model_version": 5})
    (*_, read) = (call for name, call in aws.calls if name == "DescribeModelPackage")
    assert read["ModelPackageName"].endswith(":model-package/sashiko-dev-triage/5")
    aws.answers["ListModelPackages"] = lambda _: {"ModelPackageSummaryList": []}
    assert aws.run(flow, scheduled(MONDAY)).error == "NoVersion"
    assert len(_starts(aws)) == 3


def _asleep():
    serving = SETTINGS.serving.model_copy(update={"mode": "asynchronous"})
    return SETTINGS.model_copy(update={"serving": serving})


@pytest.fixture
def publish(aws):
    """Publishes an outcome, and returns metric -> value."""
    aws.answers["ListPipelineParametersForExecution"] = lambda _: {
        "PipelineParameters": [
            {"Name": "CaptureUri", "Value": f"s3://{CAPTURE}/{GROUP}/"},
            {"Name": "WindowEnd", "Value": "20261123T000000Z"},
            {"Name": "WindowStart", "Value": "20261116T000000Z"},
            {"Name": "ModelVersion", "Value": "3"},
        ]
    }
    aws.answers["PutMetricData"] = lambda _: {}
    aws.answers["Publish"] = lambda _: {}

    def run(result, settings=SETTINGS):
        body = json.dumps(result.model_dump(mode="json"))
        aws.answers["GetObject"] = lambda _: {"Body": body}  # as text: Step Functions reads it
        flow = outcome_flow(
            settings, RECIPE, namespace="sashiko-dev/monitor", dashboard="some-dashboard"
        )
        outcome = aws.run(flow, execution_ended("Succeeded", pipeline="x-monitor"))
        assert outcome.status == "SUCCEEDED", outcome
        (get,) = [arguments for operation, arguments in aws.calls if operation == "GetObject"]
        assert (get["Bucket"], get["Key"]) == (ARTIFACTS, OUTCOME)
        metrics = {}
        for put in [
            arguments for operation, arguments in aws.calls if operation == "PutMetricData"
        ]:
            assert put["Namespace"] == "sashiko-dev/monitor"
            for item in put["MetricData"]:
                of = {pair["Name"]: pair["Value"] for pair in item["Dimensions"]}
                assert of.pop("ModelPackageGroup") == GROUP
                metrics[item["MetricName"], *of.values()] = item["Value"]
        mails = [arguments for operation, arguments in aws.calls if operation == "Publish"]
        return metrics, mails

    return run


def _counts(result, kind):
    outcomes = [check.outcome for check in result.checks if check.kind == kind]
    return outcomes.count("alarm"), len(outcomes) - outcomes.count("not judged")


def test_each_kind_of_check_has_metrics_and_the_message_names_each_check_in_alarm(publish):
    """So that drift that lasts does not hide that the accuracy falls later."""
    *_, alarm = windows(14, shifted=10, deploy=5)
    metrics, [mail] = publish(alarm)
    for kind in KINDS:
        in_alarm, judged = _counts(alarm, kind)
        assert metrics["ChecksInAlarm", kind] == in_alarm
        assert metrics["ChecksJudged", kind] == judged
    assert metrics["ChecksInAlarm", "drift"] > 0 == metrics["ChecksInAlarm", "capture"]
    assert metrics["CapturedRows",] == alarm.capture.rows
    values = {key[1:]: value for key, value in metrics.items() if key[0] == "CheckValue"}
    assert values == {
        (check.kind, check.name): pytest.approx(check.value)
        for check in alarm.checks
        if check.value is not None and check.name != "captured requests"
    }

    assert mail["TopicArn"].endswith(":sashiko-dev-alerts")
    kinds = dict.fromkeys(check.kind for check in alarm.checks if check.outcome == "alarm")
    assert mail["Subject"] == f"sashiko-dev: complaints, alarm of {', '.join(kinds)}"
    lines = mail["Message"].splitlines()
    assert lines[0] == "late-loans version 4, 2026-04-06 to 2026-04-13"
    assert alarm.summary in lines
    assert len(alarm.alarms) > 2
    assert set(alarm.alarms) <= set(lines)
    assert "sashiko monitor --env dev --recipe complaints" in lines
    assert lines[-1].endswith("#dashboards/dashboard/some-dashboard")


def test_a_dead_capture_is_an_alarm_and_ends_none_of_another_kind(publish):
    *_, last = windows(14, shifted=10)
    capture = last.capture.model_copy(update={"lines": 0, "rows": 0, "versions": ()})
    checks = tuple(
        check
        if check.kind == "capture"
        else check.model_copy(update={"outcome": "not judged", "value": None})
        for check in (*capture_checks(capture), *last.checks[2:])
    )
    metrics, mails = publish(
        last.model_copy(
            update={"capture": capture, "checks": checks, "alarms": ("captured requests",)}
        )
    )
    assert metrics["CapturedRows",] == 0
    assert metrics["ChecksInAlarm", "capture"] == 1
    # Without a value an alarm of these keeps its state.
    assert not [key for key in metrics if key[0] == "ChecksInAlarm" and key[1] != "capture"]
    assert all(metrics["ChecksJudged", kind] == 0 for kind in KINDS if kind != "capture")
    assert len(mails) == 1


def test_a_silent_week_of_an_endpoint_that_sleeps_moves_no_alarm(publish):
    *_, last = windows(14, shifted=10)
    capture = last.capture.model_copy(update={"lines": 0, "rows": 0, "versions": ()})
    unasked = {"outcome": "not judged", "value": None}
    checks = tuple(check.model_copy(update=unasked) for check in last.checks)
    silent = {"outcome": "no requests", "alarms": (), "capture": capture, "checks": checks}
    metrics, mails = publish(last.model_copy(update=silent), _asleep())
    assert mails == []
    # The one that `did-not-run` counts, and what has been audited before.
    assert {name for name, *_ in metrics} == {"CapturedRows"}
    assert metrics["CapturedRows",] == 0


def test_a_name_in_any_script_keeps_no_alarm_back(publish):
    *_, alarm = windows(14, shifted=10, columns=("größe", "amount"))
    metrics, [_] = publish(alarm)
    assert metrics["ChecksInAlarm", "drift"] == _counts(alarm, "drift")[0]
    assert "drift of gr??e" in [key[2] for key in metrics if key[0] == "CheckValue"]


def test_without_an_audited_accuracy_none_is_published(publish):
    *_, result = windows(1)
    quality = result.quality
    without = quality.since_deploy.model_copy(update={"value": None, "low": None, "high": None})
    metrics, mails = publish(
        result.model_copy(
            update={"quality": quality.model_copy(update={"since_deploy": without}), "checks": ()}
        )
    )
    assert (metrics, mails) == ({("CapturedRows",): result.capture.rows}, [])


def _monitored(*, environment="serving", **capture):
    from sashiko_cdk.events.event_flows import EventFlows
    from sashiko_cdk.pack_parts import PipelineParts
    from sashiko_cdk.stack import EnvironmentStack
    from sashiko_packs.monitoring.constructs.flow import add_monitoring

    settings = variants.settings_of(environment)
    section = settings.serving.capture.model_copy(update=capture)
    serving = settings.serving.model_copy(update={"capture": section})
    deployment = replace(
        variants.deployment_of(SETTINGS), settings=settings.model_copy(update={"serving": serving})
    )
    stack = EnvironmentStack(
        variants.new_app(), "Pipeline", deployment, stateful=False, description="of a test"
    )
    key = kms.Key(stack, "Key")
    flows = EventFlows(
        stack, "Events", settings=stack.settings, logs_key=key, removal_policy=stack.removal_policy
    )
    parts = PipelineParts(deployment=deployment, flows=flows, artifacts_key_arn=key.key_arn)
    return stack, add_monitoring(stack, parts)


def test_only_what_is_captured_for_long_enough_is_monitored():
    assert len(_monitored()[1]) == 2
    assert _monitored(percent=0)[1] == []
    with pytest.raises(InputError, match=r"`serving.capture.retention`: 7d; .* for 9d or more"):
        _monitored(retention=7 * 24 * 3600)


def test_without_an_endpoint_answers_are_monitored_where_a_schedule_scores(monkeypatch):
    assert _monitored(environment="dev")[1] == []
    by_schedule = "sashiko_packs.monitoring.places.pack_objects"
    monkeypatch.setattr(by_schedule, lambda *_: (lambda _: True,))
    stack, machines = _monitored(environment="dev")
    assert len(machines) == 2
    template = json.dumps(assertions.Template.from_stack(stack).to_json())
    assert "sagemaker:ListModelPackages" in template
    assert "did-not-run" in template
    assert "captured-rows" not in template  # a week without batches is none of an alarm


def test_each_kind_of_check_has_an_alarm_that_keeps_its_state_without_data(templates):
    alarms = {
        item["Properties"]["AlarmName"].removeprefix("sashiko-dev-monitor-"): item["Properties"]
        for item in variants.resources(
            templates("serving")["Pipeline"], "AWS::CloudWatch::Alarm"
        ).values()
        if item["Properties"]["AlarmName"].startswith("sashiko-dev-monitor-")
    }
    of_kinds = {
        name: {item["Name"]: item["Value"] for item in alarm["Dimensions"]}.get("Kind")
        for name, alarm in alarms.items()
    }
    unjudged = {f"{kind}-not-judged": kind for kind in KINDS if kind != "capture"}
    assert of_kinds == {kind: kind for kind in KINDS} | unjudged | {
        "captured-rows": None, "did-not-run": None,
    }  # fmt: skip
    missing = alarms.pop("did-not-run")
    # Without a window there is no metric.
    assert (missing["TreatMissingData"], missing["Statistic"]) == ("breaching", "SampleCount")
    assert missing["Period"] * missing["EvaluationPeriods"] == 7 * 24 * 3600
    for name, alarm in alarms.items():
        # Between two windows, and where nothing was judged, an alarm keeps its state.
        assert (alarm["TreatMissingData"], alarm["Statistic"]) == ("ignore", "Maximum"), name
    for alarm in (missing, *alarms.values()):
        assert alarm["AlarmActions"] == alarm["OKActions"]
        assert [arn.rpartition(":")[2] for arn in alarm["AlarmActions"]] == ["sashiko-dev-alerts"]


def test_the_dashboard_searches_the_metric_of_each_check(templates):
    dashboards = variants.resources(
        templates("serving")["Pipeline"], "AWS::CloudWatch::Dashboard"
    ).values()
    [body] = [
        item["Properties"]["DashboardBody"]
        for item in dashboards
        if item["Properties"]["DashboardName"] == "sashiko-dev-complaints-monitor"
    ]
    widgets = json.loads(body)["widgets"]
    searches = [
        metric[0]["expression"]
        for widget in widgets
        for metric in widget["properties"]["metrics"]
        if isinstance(metric[0], dict)
    ]
    assert len(searches) == len(KINDS)
    assert searches[2] == (
        'SEARCH(\'{"sashiko-dev/monitor",ModelPackageGroup,Kind,Check} MetricName="CheckValue" '
        f'ModelPackageGroup="{GROUP}" Kind="drift"\', \'Maximum\', 86400)'
    )


def test_a_failed_monitoring_pipeline_says_how_to_see_its_steps(aws):
    reason = "ClientError: no objects"
    step = {"StepName": "ReadCapture", "StepStatus": "Failed", "FailureReason": reason}
    aws.client("sns").create_topic(Name="sashiko-dev-alerts")
    aws.answers["Publish"] = lambda _: {"MessageId": "some"}
    aws.answers["ListPipelineExecutionSteps"] = lambda _: {"PipelineExecutionSteps": [step]}
    event = execution_ended("Failed", pipeline="sashiko-dev-complaints-monitor")

    outcome = aws.run(notice_flow(SETTINGS, topic=alerts_topic_arn(SETTINGS)), event)

    assert outcome.status == "SUCCEEDED", outcome
    (sent,) = [arguments for operation, arguments in aws.calls if operation == "Publish"]
    assert sent["Subject"] == "sashiko-dev: pipeline failed in sashiko-dev-complaints-monitor"
    assert f"ReadCapture: {reason}" in sent["Message"]
    by_aws = "list-pipeline-execution-steps --pipeline-execution-arn arn:aws:sagemaker:"
    assert by_aws in sent["Message"]
    arn = "pipeline/sashiko-dev-complaints-monitor/execution/p4jn9xou8a8s"
    assert sent["Message"].endswith(arn)
    assert "sashiko runs" not in sent["Message"]


def test_a_deployer_makes_the_stores_of_the_monitor_and_overwrites_none() -> None:
    dev = read_environment(variants.settings_of("dev"), folder=variants.synthesized("dev"))
    (deployer,) = (item for item in dev.principals if item.name == "deployer")
    bucket = bucket_name(dev.settings, "snapshots")
    labels = f"arn:aws:s3:::{bucket}/monitor/{GROUP}/labels/labels.parquet"
    assert deployer.may("s3:PutObject", labels)
    assert not deployer.may("s3:PutObject", f"{labels}x")
    (statement,) = (item for item in deployer.policy if labels in item.resources)
    assert statement.conditions == {"Null": {"s3:if-none-match": "false"}}


def test_what_is_captured_the_endpoint_writes_and_the_monitor_alone_reads(templates) -> None:
    """Also past IAM: bucket and key deny whom a later policy would let in."""
    lake = templates("serving")["DataLake"]
    key = next(
        item["Properties"]["KeyPolicy"]
        for item in variants.resources(lake, "AWS::KMS::Key").values()
        if "ForEndpointAndMonitor" in json.dumps(item)
    )
    bucket = next(
        item["Properties"]["PolicyDocument"]
        for name, item in variants.resources(lake, "AWS::S3::BucketPolicy").items()
        if name.startswith("CaptureBucket")
    )
    settings = variants.settings_of("serving")
    # A pack's jobs may have answers of their own monitored: they add captures, and read none.
    writers = {one.name for one in role_records(settings) if one.writes_captures}
    assert writers.isdisjoint(one.name for one in CORE)
    role = "arn:aws:iam::111122223333:role/sashiko-dev-"
    writing, opening = (
        {arn.removeprefix(role) for arn in denied_but(policy, action)}
        for policy, action in ((bucket, "s3:PutObject"), (key, "kms:Decrypt"))
    )
    assert writing == {"inference", "monitor"} | writers
    assert opening == {"break-glass", "inference", "monitor"} | writers
    assert denied_but(bucket, "s3:GetObject*") == [f"{role}monitor", f"{role}break-glass"]

    environment = read_environment(settings, folder=variants.synthesized("serving"))
    readers = {
        principal.name
        for principal in environment.principals
        if environment.object_paths(principal, "s3:GetObject", CAPTURE)
    }
    assert readers == {"monitor"}


def test_a_key_that_was_deleted_is_gone_from_old_versions_and_decisions_within_weeks(templates):
    _, bucket = buckets_of(templates("dev")["DataLake"])["snapshots"]
    rules = bucket["Properties"]["LifecycleConfiguration"]["Rules"]
    days = {
        rule["Prefix"]: (
            rule.get("ExpirationInDays"),
            rule.get("NoncurrentVersionExpiration", {}).get("NoncurrentDays"),
        )
        for rule in rules
        if "monitor" in rule.get("Prefix", "")
    }
    assert days == {"monitor/decisions/": (7, None), "monitor/": (None, 14)}


def denied_but(policy: Any, action: str) -> Any:
    (statement,) = [
        item
        for item in policy["Statement"]
        if item["Effect"] == "Deny" and action in (item["Action"], *item["Action"])
    ]
    return statement["Condition"]["ArnNotEquals"]["aws:PrincipalArn"]


def test_the_table_of_captured_rows_has_the_scores_of_more_than_two_classes() -> None:
    contract = load_contract(Path("contracts/tickets.odcs.yaml"))
    columns = {column.name: column for column in captured_table(contract).columns}
    assert list(columns) == row_schema(contract.text_columns, has_classes=True).names
    assert columns["scores"].type == "array<double>"
    assert columns["score"].comment == "The probability of `Credit card` or `Mobile app`."
