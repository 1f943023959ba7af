"""Checks of a deployed endpoint: its parts, its alarms, its janitor, and what the audit finds."""

import json
from pathlib import Path
from typing import Any

from verification.deploy import aws_command
from verification.deploy.hosted import NAME, TARGET, audit, config, endpoint, model, scale_out
from verification.deploy.parts import ACCOUNT
from verification.deploy.process import REGION, Emulator


def check_endpoint(account: Emulator, arn: str) -> None:
    """The configuration is the settings', the container the signed version's."""
    (variant,), hosted_model = config(account)["ProductionVariants"], model(account)
    capture = config(account)["DataCaptureConfig"]
    keys = f"arn:aws:kms:{REGION}:{ACCOUNT}:alias/sashiko-dev"

    assert endpoint(account)["EndpointStatus"] == "InService"
    assert variant["InstanceType"] == "ml.inf2.xlarge"
    assert variant["InferenceAmiVersion"] == "al2-ami-sagemaker-inference-neuron-2"
    assert variant["ContainerStartupHealthCheckTimeoutInSeconds"] == 600
    assert variant["ModelDataDownloadTimeoutInSeconds"] == 600
    assert hosted_model["PrimaryContainer"] == {
        "ModelPackageName": arn,
        "Environment": {
            "SASHIKO_THRESHOLD": "0.43",
            "SAGEMAKER_MODEL_SERVER_WORKERS": "2",
            "NEURON_RT_NUM_CORES": "1",
        },
    }
    assert hosted_model["EnableNetworkIsolation"] is True
    assert hosted_model["ExecutionRoleArn"].endswith(":role/sashiko-dev-inference")
    assert len(hosted_model["VpcConfig"]["Subnets"]) == 1
    assert config(account)["KmsKeyId"] == f"{keys}-ml"
    assert capture["KmsKeyId"] == f"{keys}-capture"
    assert capture["InitialSamplingPercentage"] == 5
    bucket = f"sashiko-dev-capture-{ACCOUNT}-{REGION}"
    assert capture["DestinationS3Uri"] == f"s3://{bucket}/{NAME}/version={arn.rpartition('/')[2]}"


def check_scaling_and_alarms(account: Emulator) -> None:
    """Each is on the variant that the endpoint has."""
    (name,) = [item["VariantName"] for item in endpoint(account)["ProductionVariants"]]
    scaling = account.client("application-autoscaling")
    (target,) = scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]
    (policy,) = scaling.describe_scaling_policies(ServiceNamespace="sagemaker")["ScalingPolicies"]
    alarms = {
        item["AlarmName"]: item
        for item in account.client("cloudwatch").describe_alarms()["MetricAlarms"]
        if item["AlarmName"].startswith("sashiko-dev-endpoint-")
    }
    rollback = endpoint(account)["LastDeploymentConfig"]["AutoRollbackConfiguration"]["Alarms"]

    assert f"endpoint/{NAME}/variant/{name}" == TARGET
    assert target["ResourceId"] == policy["ResourceId"] == TARGET
    assert (target["MinCapacity"], target["MaxCapacity"]) == (1, 3)
    assert policy["TargetTrackingScalingPolicyConfiguration"]["TargetValue"] == 600
    assert len(alarms) == 8
    taking_back = {item["AlarmName"] for item in rollback}
    of_fleet = endpoint(account)["EndpointConfigName"]
    assert taking_back == {
        f"sashiko-dev-endpoint-{metric}-{of_fleet[-12:]}" for metric in ("5xx", "p99-latency")
    }
    for item in alarms.values():
        fleet = [{"Name": "EndpointConfigName", "Value": of_fleet}]
        assert item["Dimensions"] == [
            {"Name": "EndpointName", "Value": NAME},
            {"Name": "VariantName", "Value": name},
            *(fleet if item["AlarmName"] in taking_back else []),
        ]


def check_janitor(account: Emulator, arn: str) -> None:
    """As its rule calls it: a killed check's endpoint goes when no check is that old."""
    (target,) = account.client("events").list_targets_by_rule(Rule="sashiko-dev-janitor")["Targets"]
    event = json.loads(target["Input"])
    endpoint_name = f"{event['prefix']}killed"
    sagemaker = account.client("sagemaker")
    sagemaker.create_model(ModelName=endpoint_name, PrimaryContainer={"ModelPackageName": arn})
    (variant,) = config(account)["ProductionVariants"]
    sagemaker.create_endpoint_config(
        EndpointConfigName=endpoint_name,
        ProductionVariants=[{**variant, "ModelName": endpoint_name}],
    )
    sagemaker.create_endpoint(EndpointName=endpoint_name, EndpointConfigName=endpoint_name)

    def clean(older_than: int) -> Any:
        payload = json.dumps({**event, "older_than": older_than}).encode()
        function = target["Arn"].rpartition(":")[2]
        response = account.client("lambda").invoke(FunctionName=function, Payload=payload)
        return json.loads(response["Payload"].read())

    assert clean(event["older_than"]) == {"deleted": [], "left": {}}
    assert clean(0) == {"deleted": [endpoint_name], "left": {}}


def check_audit(account: Emulator, folder: Path, older: list[str]) -> None:
    """The audit reports each difference made by hand, with a command that fixes it."""
    sagemaker = account.client("sagemaker")
    scaling = account.client("application-autoscaling")
    intended = endpoint(account)["EndpointConfigName"]

    # The state after SageMaker rolls an update back on an alarm: another configuration.
    more = {**config(account)["DataCaptureConfig"], "InitialSamplingPercentage": 50}
    name = {"EndpointConfigName": "sashiko-dev-other"}
    other = {**config(account), **name, "DataCaptureConfig": more}
    members = ("EndpointConfigName", "ProductionVariants", "KmsKeyId", "DataCaptureConfig")
    sagemaker.create_endpoint_config(**{key: other[key] for key in members})
    sagemaker.update_endpoint(EndpointName=NAME, EndpointConfigName="sashiko-dev-other")
    (difference,) = audit(folder)
    assert difference.resource == f"configuration of endpoint {NAME}"
    assert f"expected {intended}, found sashiko-dev-other" in difference.detail
    assert "model_package_arn" in difference.fix
    aws_command.run(account, difference.fix.partition("or: ")[2])
    assert audit(folder) == []

    # Properties that an update retains from the old configuration unless excluded.
    sagemaker.update_endpoint(EndpointName=NAME, **name)
    sagemaker.update_endpoint(
        EndpointName=NAME, EndpointConfigName=intended, RetainAllVariantProperties=True
    )
    (difference,) = audit(folder)
    assert difference.resource == f"capture of endpoint {NAME}"
    assert difference.detail == "CurrentSamplingPercentage: expected 5, found 50"
    aws_command.run(account, difference.fix)
    sagemaker.delete_endpoint_config(**name)
    assert audit(folder) == []

    scale_out(account, 9)
    (difference,) = audit(folder)
    assert (difference.resource, difference.detail) == (
        f"instances of endpoint {NAME}",
        "expected 1 to 3, found 9",
    )
    aws_command.run(account, difference.fix)
    assert audit(folder) == []

    scaling.register_scalable_target(
        ServiceNamespace="sagemaker",
        ResourceId=TARGET,
        ScalableDimension="sagemaker:variant:DesiredInstanceCount",
        MinCapacity=1,
        MaxCapacity=50,
    )
    (difference,) = audit(folder)
    assert difference.detail == "expected 1 to 3, found 1 to 50"
    aws_command.run(account, difference.fix)
    assert audit(folder) == []

    sagemaker.create_endpoint(EndpointName="sashiko-dev-mine", EndpointConfigName=intended)
    (difference,) = audit(folder)
    assert (difference.kind, difference.resource) == ("extra", "endpoint sashiko-dev-mine")
    aws_command.run(account, difference.fix)
    assert audit(folder) == []
