"""What templates and a definition cost, by arithmetic that a reader can do."""

import json
from pathlib import Path
from typing import Any

import pytest

from sashiko.account.prices import read_prices, total
from sashiko.account.templates import read_templates
from sashiko.errors import InputError
from sashiko.pipeline.definition.definition_records import parse_definition
from sashiko.pipeline.use_cost import (
    WAKE_HOURS,
    JobCost,
    mode_costs,
    other_jobs,
    prediction_costs,
    run_cost,
)
from sashiko_packs.operations.idle_cost import IdleCost, idle_cost, lines
from tests.infra.variants import ROOT
from tests.unit.account.small_lake import SmallLake

PREDICTIONS = "endpoint/triage/variant/primary"


def idle(tmp_path: Path, *resources: tuple[str, str, dict[str, Any]]) -> IdleCost:
    lake = SmallLake()
    lake.resources.clear()
    for logical_id, kind, properties in resources:
        lake.add(logical_id, kind, **properties)
    templates = read_templates(lake.settings, folder=lake.write(tmp_path))
    return idle_cost(templates, read_prices(lake.settings))


def endpoint(count: int = 2, **variant: Any) -> tuple[tuple[str, str, dict[str, Any]], ...]:
    kind = {"VariantName": "primary", "InstanceType": "ml.inf2.xlarge"}
    resources = {**kind, "InitialInstanceCount": count, **variant}
    config = {"Fn::GetAtt": ["Config", "EndpointConfigName"]}
    named = {"EndpointName": "triage", "EndpointConfigName": config}
    return (
        ("Config", "AWS::SageMaker::EndpointConfig", {"ProductionVariants": [resources]}),
        ("Endpoint", "AWS::SageMaker::Endpoint", named),
    )


def test_a_vpc_endpoint_is_billed_in_each_zone_and_a_gateway_is_not(tmp_path: Path) -> None:
    kind, service = "AWS::EC2::VPCEndpoint", "com.amazonaws.us-east-1"
    athena = {"ServiceName": f"{service}.athena", "SubnetIds": ["a", "b"]}
    s3 = {"VpcEndpointType": "Gateway", "ServiceName": f"{service}.s3"}
    interface = ("Athena", kind, {"VpcEndpointType": "Interface", **athena})
    cost = idle(tmp_path, interface, ("S3", kind, s3))
    assert lines(cost) == {"sashiko-dev-All: VPC endpoint athena, 2 zones": 14.60}


def test_a_key_is_called_by_its_alias(tmp_path: Path) -> None:
    target = {"Fn::GetAtt": ["Key", "Arn"]}
    cost = idle(
        tmp_path,
        ("Key", "AWS::KMS::Key", {}),
        ("Alias", "AWS::KMS::Alias", {"AliasName": "alias/a", "TargetKeyId": target}),
        ("KeyTwo", "AWS::KMS::Key", {}),
    )
    assert lines(cost) == {
        "sashiko-dev-All: KMS key KeyTwo": 1.0,
        "sashiko-dev-All: KMS key alias/a": 1.0,
    }


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({"Period": 60}, 0.10),
        ({"Period": 10}, 0.30),
        (
            {
                "Metrics": [
                    {"Id": "e", "Expression": "a/b"},
                    {"Id": "a", "MetricStat": {"Period": 60}},
                    {"Id": "b", "MetricStat": {"Period": 60}},
                ]
            },
            0.20,
        ),
    ],
)
def test_an_alarm_is_billed_by_its_metrics(
    tmp_path: Path, properties: dict[str, Any], expected: float
) -> None:
    cost = idle(tmp_path, ("Alarm", "AWS::CloudWatch::Alarm", properties))
    assert cost.monthly == pytest.approx(expected)


def test_the_instances_of_an_endpoint_cost_all_month_and_an_unknown_price_is_not_nothing(
    tmp_path: Path,
) -> None:
    cost = idle(tmp_path, *endpoint(count=2))
    assert lines(cost) == {"sashiko-dev-All: endpoint triage, primary: 2 x ml.inf2.xlarge": 1445.40}
    assert cost.instances == 2
    assert idle(tmp_path, endpoint()[0]).monthly == 0

    cost = idle(tmp_path, *endpoint(InstanceType="ml.c7i.48xlarge"), ("Key", "AWS::KMS::Key", {}))
    (name,) = [name for name, usd in lines(cost).items() if usd is None]
    assert name.endswith("primary: 2 x ml.c7i.48xlarge")
    assert cost.monthly is None


def test_scaling_takes_an_endpoint_down_to_its_minimum_and_brings_two_alarms(
    tmp_path: Path,
) -> None:
    target = {"ResourceId": PREDICTIONS, "MinCapacity": 1, "MaxCapacity": 4}
    policy = {"PolicyName": "p", "PolicyType": "TargetTrackingScaling"}
    scaled = (
        ("Target", "AWS::ApplicationAutoScaling::ScalableTarget", target),
        ("Policy", "AWS::ApplicationAutoScaling::ScalingPolicy", policy),
    )
    cost = idle(tmp_path, *endpoint(count=3), *scaled)
    assert cost.monthly == pytest.approx(0.99 * 730 + 0.20)


def test_a_type_that_nobody_has_judged_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"AWS::EC2::NatGateway \(sashiko-dev-All\).*idle_cost\.yaml"
    ):
        idle(tmp_path, ("Nat", "AWS::EC2::NatGateway", {}))


def test_what_is_billed_by_use_is_named(tmp_path: Path) -> None:
    cost = idle(tmp_path, ("Job", "AWS::Glue::Job", {}), ("Role", "AWS::IAM::Role", {}))
    assert list(cost.by_use) == ["AWS::Glue::Job"]


def run(device: str | None, *, machines: int = 1, **instances: Any) -> dict[str, JobCost]:
    """The cost of a run: `machines` of Explain; `instances` change Train's ResourceConfig."""
    definition = json.loads((ROOT / "tests/golden/complaints.definition.json").read_text())
    steps = {step["Name"]: step["Arguments"] for step in definition["Steps"]}
    steps["Train"]["ResourceConfig"] |= instances
    steps["Explain"]["ProcessingResources"]["ClusterConfig"]["InstanceCount"] = machines
    prices = read_prices(SmallLake().settings)
    job_costs = run_cost(parse_definition(definition), prices, device=device)
    return {job.name: job for job in job_costs}


def test_a_run_costs_its_jobs_for_the_assumed_time_and_at_most_for_their_limits() -> None:
    jobs = run(device=None)
    assert "DataGate" not in jobs
    prepare, volume = jobs["Prepare"], 0.14 * 30 / 730
    assert (prepare.machines, prepare.limit_seconds) == ("1 x ml.m5.large", 3600)
    assert prepare.most == pytest.approx(0.115 + volume)
    assert prepare.typical == pytest.approx((0.115 + volume) * 300 / 3600)
    train = jobs["Train"]  # an instance with disks of its own has no volume to pay for
    assert (train.machines, train.limit_seconds) == ("1 x ml.g5.xlarge", 14400)
    assert train.most == pytest.approx(1.4084 * 4)


def test_of_several_types_the_dearest_counts_and_a_warm_pool_is_paid_for() -> None:
    types = [{"InstanceType": name} for name in ("ml.m5.large", "ml.g5.xlarge")]
    jobs = run(None, InstancePreferences=types, KeepAlivePeriodInSeconds=1800)
    train, pool = jobs["Train"], jobs["Train's warm pool"]
    assert train.machines == "1 x ml.m5.large or ml.g5.xlarge"
    assert train.hourly is not None
    assert train.hourly > 1.4084
    assert pool.most == pool.typical == pytest.approx(train.hourly / 2)


def test_each_instance_of_a_job_and_the_machine_of_a_device_check_cost_their_time() -> None:
    one, four = run(device=None)["Explain"], run(device=None, machines=4)["Explain"]
    assert (one.machines, four.machines) == ("1 x ml.m5.2xlarge", "4 x ml.m5.2xlarge")
    assert one.most == pytest.approx(2 * (0.461 + 0.14 * 50 / 730))
    assert four.most == pytest.approx(4 * one.most)

    name = "DeviceCheck's machine"
    assert name not in run(device=None)
    jobs = run(device="ml.inf2.xlarge")
    assert jobs[name].machines == "1 x ml.inf2.xlarge"
    assert jobs[name].most == pytest.approx(0.99 * jobs["DeviceCheck"].limit_seconds / 3600)


@pytest.mark.parametrize(
    ("instances", "reason"),
    [
        ({"InstanceType": "ml.p6-b300.48xlarge"}, "no price of ml.p6-b300.48xlarge is known"),
        ({"TrainingPlanArn": "arn:p"}, "paid upfront with the plan arn:p"),
    ],
)
def test_a_job_without_a_price_is_unknown_in_itself_and_in_the_sum(
    instances: dict[str, str], reason: str
) -> None:
    jobs = run(device=None, **instances)
    train = jobs["Train"]
    assert (train.typical, train.most, train.prices) == (None, None, ())
    assert train.unknown.startswith(reason)
    assert total(job.most for job in jobs.values()) is None
    known = [job for job in jobs.values() if job.name != "Train"]
    assert total(job.most for job in known) == pytest.approx(sum(job.most or 0 for job in known))


def test_loads_and_builds_cost_their_machines(tmp_path: Path) -> None:
    lake = SmallLake()
    lake.resources.clear()
    lake.add("Load", "AWS::Glue::Job", Name="l", NumberOfWorkers=2, WorkerType="G.1X", Timeout=60)
    machine = {"ComputeType": "BUILD_GENERAL1_MEDIUM"}
    project = {"Name": "b", "Environment": machine, "Source": {"Type": "S3"}, "TimeoutInMinutes": 2}
    lake.add("Build", "AWS::CodeBuild::Project", **project)
    lake.add("Long", "AWS::Glue::Job", Name="long", NumberOfWorkers=1, WorkerType="G.1X")
    templates = read_templates(lake.settings, folder=lake.write(tmp_path))
    load, without_limit, build = other_jobs(templates, read_prices(lake.settings))
    assert (load.name, load.machines) == ("load l", "2 x G.1X")
    assert load.most == pytest.approx(0.88)
    assert load.typical == pytest.approx(0.88 * 300 / 3600)
    assert build.most == build.typical == pytest.approx(0.02)
    assert without_limit.most == pytest.approx(0.44 * 8)  # Glue's own limit


@pytest.mark.parametrize(
    ("load", "least", "instances"), [(10, 1, 1), (10, 2, 2), (3715, 1, 1), (3716, 1, 2)]
)
def test_predictions_take_as_many_instances_as_leave_room(
    load: float, least: int, instances: int
) -> None:
    """An instance is used to 70 % of 5,308 a second."""
    (cost,) = prediction_costs(
        read_prices(SmallLake().settings),
        instance_types={"inf2": "ml.inf2.xlarge", "cpu": "ml.unknown"},
        load=load,
        least=least,
    )
    assert cost.instances == instances
    assert cost.per_million == pytest.approx(instances * 0.99 / (3600 * load) * 1e6)
    assert cost.floor == pytest.approx(0.99 / (3600 * 5308) * 1e6)


@pytest.mark.parametrize("least", [1, 2])
def test_the_modes_cross_where_both_cost_the_same(least: int) -> None:
    """With two instances kept, one that is always awake costs half, until its objects add up."""
    prices = read_prices(SmallLake().settings)
    kinds = {"inf2": "ml.inf2.xlarge"}
    (one,) = prediction_costs(prices, instance_types=kinds, load=10, least=least)
    modes = mode_costs(one, prices)
    assert modes.real_time_idle == pytest.approx(least * 730 * 0.99)
    objects = 2 * (0.005 + 0.0004) / 1000
    requests = modes.crossing
    hours = min(730, requests * WAKE_HOURS)
    assert hours * 0.99 + requests * objects == pytest.approx(modes.real_time_idle)
    # At ten a second it never sleeps, and pays for its objects on top.
    awake = 730 * 0.99 / (10 * 730 * 3600) * 1e6
    assert modes.asynchronous_per_million == pytest.approx(awake + objects * 1e6)
