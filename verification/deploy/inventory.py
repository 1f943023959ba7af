"""Everything that an account holds, from the services' own lists, not from stacks."""

from verification.deploy.process import Emulator

# service: operation, the answer's list, the member that names an item (none: the item itself).
_LISTS: dict[str, tuple[tuple[str, str, str | None], ...]] = {
    "s3": (("list_buckets", "Buckets", "Name"),),
    "iam": (
        ("list_roles", "Roles", "Arn"),
        ("list_policies", "Policies", "Arn"),
        ("list_open_id_connect_providers", "OpenIDConnectProviderList", "Arn"),
    ),
    "kms": (("list_aliases", "Aliases", "AliasName"),),
    "glue": (
        ("get_databases", "DatabaseList", "Name"),
        ("get_jobs", "Jobs", "Name"),
        ("get_security_configurations", "SecurityConfigurations", "Name"),
        ("list_data_quality_rulesets", "Rulesets", "Name"),
    ),
    "codebuild": (("list_projects", "projects", None),),
    "codepipeline": (("list_pipelines", "pipelines", "name"),),
    "lambda": (("list_functions", "Functions", "FunctionName"),),
    "athena": (("list_work_groups", "WorkGroups", "Name"),),
    "logs": (("describe_log_groups", "logGroups", "logGroupName"),),
    "ec2": (
        ("describe_vpcs", "Vpcs", "VpcId"),
        ("describe_subnets", "Subnets", "SubnetId"),
        ("describe_security_groups", "SecurityGroups", "GroupId"),
        ("describe_flow_logs", "FlowLogs", "FlowLogId"),
    ),
    "lakeformation": (
        ("list_permissions", "PrincipalResourcePermissions", None),
        ("list_data_cells_filter", "DataCellsFilters", None),
        ("list_resources", "ResourceInfoList", "ResourceArn"),
    ),
    "cloudwatch": (
        ("describe_alarms", "MetricAlarms", "AlarmName"),
        ("list_dashboards", "DashboardEntries", "DashboardName"),
    ),
    "application-autoscaling": (
        ("describe_scalable_targets", "ScalableTargets", "ResourceId"),
        ("describe_scaling_policies", "ScalingPolicies", "PolicyARN"),
    ),
    "budgets": (("describe_budgets", "Budgets", "BudgetName"),),
    "ecr": (("describe_repositories", "repositories", "repositoryName"),),
    "sagemaker": (
        ("list_mlflow_apps", "Summaries", "Arn"),
        ("list_model_package_groups", "ModelPackageGroupSummaryList", "ModelPackageGroupName"),
        ("list_pipelines", "PipelineSummaries", "PipelineName"),
        ("list_models", "Models", "ModelName"),
        ("list_endpoint_configs", "EndpointConfigs", "EndpointConfigName"),
        ("list_endpoints", "Endpoints", "EndpointName"),
    ),
    "sns": (("list_topics", "Topics", "TopicArn"),),
    "events": (("list_rules", "Rules", "Arn"), ("list_event_buses", "EventBuses", "Name")),
    "stepfunctions": (("list_state_machines", "stateMachines", "name"),),
    "sqs": (("list_queues", "QueueUrls", None),),
}


def inventory(emulator: Emulator) -> dict[str, list[str]]:
    """Returns the names of what exists, by the operation that lists it."""
    kms = emulator.client("kms")
    keys = [item["KeyId"] for item in kms.list_keys()["Keys"]]
    states = {key: kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] for key in keys}
    endpoints = emulator.client("ec2").describe_vpc_endpoints()["VpcEndpoints"]
    return {
        **{
            operation: _names(emulator, service, operation, member, name)
            for service, lists in _LISTS.items()
            for operation, member, name in lists
        },
        # A deleted key is listed until its waiting time is over, an endpoint for a while.
        "keys": sorted(key for key, state in states.items() if state != "PendingDeletion"),
        "endpoints": sorted(it["VpcEndpointId"] for it in endpoints if it["State"] != "deleted"),
    }


def _names(
    emulator: Emulator, service: str, operation: str, member: str, name: str | None
) -> list[str]:
    arguments = {
        # AWS's own policies, thousands of them, do not belong to the account.
        "list_policies": {"Scope": "Local"},
        "describe_budgets": {"AccountId": emulator.account},
        "describe_scalable_targets": {"ServiceNamespace": "sagemaker"},
        "describe_scaling_policies": {"ServiceNamespace": "sagemaker"},
    }.get(operation, {})
    answer = getattr(emulator.client(service), operation)(**arguments)
    assert not answer.get("NextToken") and not answer.get("IsTruncated"), operation
    return sorted(str(item if name is None else item[name]) for item in answer.get(member, []))


def identities(emulator: Emulator) -> dict[str, str]:
    """Returns the identities of data-holding resources, which a recreated one does not share."""
    buckets = emulator.client("s3").list_buckets()["Buckets"]
    aliases = emulator.client("kms").list_aliases()["Aliases"]
    roles = emulator.client("iam").list_roles()["Roles"]
    glue = emulator.client("glue")
    tables = [
        table
        for database in glue.get_databases()["DatabaseList"]
        for table in glue.get_tables(DatabaseName=database["Name"])["TableList"]
    ]
    return {
        **{f"bucket {item['Name']}": str(item["CreationDate"]) for item in buckets},
        **{f"key {item['AliasName']}": item.get("TargetKeyId", "") for item in aliases},
        **{f"role {item['RoleName']}": item["RoleId"] for item in roles},
        **{f"table {t['DatabaseName']}.{t['Name']}": str(t["CreateTime"]) for t in tables},
    }
