"""The types that need no more than a row: what `Api` is to call, and how it is named there."""

from typing import Any

from ..engine.resources import Place, Properties, ResourceError
from .api import Api, words

_GLUE = "arn:aws:glue:{region}:{account}:"


class Budget(Api):
    def read(self, place: Place, physical_id: str, desired: Properties) -> Properties:
        by_name = {"AccountId": place.account, "BudgetName": physical_id}
        answer = place.aws("budgets").describe_notifications_for_budget(**by_name)
        notifications = [{"Notification": item} for item in answer["Notifications"]]
        budget = super().read(place, physical_id, desired)
        return {**budget, "NotificationsWithSubscribers": notifications}


class Database(Api):
    def create(self, place: Place, desired: Properties) -> str:
        name = desired.get("DatabaseName") or desired["DatabaseInput"]["Name"]
        named = {**desired, "DatabaseInput": {**desired["DatabaseInput"], "Name": name}}
        return super().create(place, named)

    def import_id(self, place: Place, desired: Properties, identifiers: dict[str, str]) -> str:
        return identifiers["DatabaseName"]


class GuardrailVersion(Api):
    def names(self, place: Place, verb: str, physical_id: str) -> Properties:
        identifier, version = physical_id.split("|")
        return {"guardrailIdentifier": identifier, "guardrailVersion": version}

    def attributes(self, place: Place, physical_id: str, desired: Properties) -> dict[str, Any]:
        identifier, version = physical_id.split("|")
        arn = f"arn:aws:bedrock:{place.region}:{place.account}:guardrail/{identifier}"
        return {"GuardrailArn": arn, "GuardrailId": identifier, "Version": version}


class Endpoint(Api):
    """What only says how to update it is not passed to the creation."""

    def create(self, place: Place, desired: Properties) -> str:
        how = words("ExcludeRetainedVariantProperties RetainAllVariantProperties")
        return super().create(place, {key: desired[key] for key in desired.keys() - how})

    def update(self, place: Place, physical_id: str, old: Properties, new: Properties) -> None:
        sagemaker, names = place.aws("sagemaker"), self.names(place, "update", physical_id)
        sagemaker.update_endpoint(**names, **{key: new[key] for key in self.updated & new.keys()})
        endpoint = sagemaker.describe_endpoint(**names)
        if endpoint["EndpointConfigName"] != new["EndpointConfigName"]:
            raise ResourceError(endpoint["FailureReason"])


TYPES = (
    Api(
        name="AWS::Athena::WorkGroup", service="athena", noun="work_group", by="WorkGroup",
        result="WorkGroup", renamed={"WorkGroupConfiguration": "Configuration"}, remade=True,
        # Not State: moto can't disable a work group.
        updated=words("Description Tags WorkGroupConfiguration RecursiveDeleteOption"),
        more=words("Name"),
        left_out=words("RecursiveDeleteOption"), deleted_with=words("RecursiveDeleteOption"),
        tags="arn:aws:athena:{region}:{account}:workgroup/{id}",
    ),
    Api(
        name="AWS::Bedrock::Guardrail", service="bedrock", noun="guardrail",
        by="guardrailIdentifier", id_path="guardrailArn", tags="{id}",
        result="""{
            Name: name, Description: description,
            BlockedInputMessaging: blockedInputMessaging,
            BlockedOutputsMessaging: blockedOutputsMessaging,
            ContentPolicyConfig: contentPolicy && {FiltersConfig: contentPolicy.filters},
            SensitiveInformationPolicyConfig: sensitiveInformationPolicy &&
                {PiiEntitiesConfig: sensitiveInformationPolicy.piiEntities}
        }""",
        updated=words(
            "BlockedInputMessaging BlockedOutputsMessaging ContentPolicyConfig Description Name "
            "SensitiveInformationPolicyConfig Tags"
        ),
        values={"GuardrailArn": "{id}", "GuardrailId": "{short}", "Version": "DRAFT"},
    ),
    GuardrailVersion(
        name="AWS::Bedrock::GuardrailVersion", service="bedrock", noun="guardrail_version", by="",
        calls={"get": "get_guardrail", "delete": "delete_guardrail"}, named="",
        id_path="join('|', [guardrailId, version])",
        result="{GuardrailIdentifier: guardrailId, Description: description}",
        more=words("Description GuardrailIdentifier"),
    ),
    Budget(
        name="AWS::Budgets::Budget", service="budgets", noun="budget", by="BudgetName",
        calls={"get": "describe_budget"}, named="Budget.BudgetName",
        result="Budget && {Budget: Budget}",
        constant={"AccountId": "{account}"}, updated=words("Budget"), remade=True,
        more=words("NotificationsWithSubscribers ResourceTags"),
    ),
    Api(
        name="AWS::CloudWatch::Alarm", service="cloudwatch", noun="metric_alarm", by="AlarmName",
        calls={"create": "put_metric_alarm", "update": "put_metric_alarm",
               "get": "describe_alarms", "delete": "delete_alarms"},
        named="AlarmName", result="MetricAlarms[0]", unique=True,
        updated=words(
            "ActionsEnabled AlarmActions AlarmDescription ComparisonOperator DatapointsToAlarm "
            "Dimensions EvaluationPeriods ExtendedStatistic MetricName Namespace OKActions Period "
            "Statistic Tags Threshold TreatMissingData"
        ),
        more=words("AlarmName"), tags="arn:aws:cloudwatch:{region}:{account}:alarm:{id}",
        values={"Arn": "arn:aws:cloudwatch:{region}:{account}:alarm:{id}"},
    ),
    Api(
        name="AWS::CloudWatch::Dashboard", service="cloudwatch", noun="dashboard",
        by="DashboardName", named="DashboardName", left_out=words("Tags"),
        calls={"create": "put_dashboard", "update": "put_dashboard", "delete": "delete_dashboards"},
        updated=words("DashboardBody"), more=words("DashboardName Tags"),
    ),
    Api(
        name="AWS::CodeBuild::Project", service="codebuild", noun="project", by="name",
        calls={"get": "batch_get_projects"}, id_path="project.name", result="projects[0]",
        updated=words(
            "Artifacts Cache Description EncryptionKey Environment LogsConfig "
            "QueuedTimeoutInMinutes ServiceRole Source SourceVersion Tags TimeoutInMinutes"
        ),
        more=words("Name"), limit=150,
        values={"Arn": "arn:aws:codebuild:{region}:{account}:project/{id}"},
    ),
    Database(
        name="AWS::Glue::Database", service="glue", noun="database", by="Name",
        named="DatabaseInput.Name", left_out=words("DatabaseName"),
        result="Database && {CatalogId: Database.CatalogId, DatabaseName: Database.Name, "
        "DatabaseInput: Database}",
        updated=words("DatabaseInput"), more=words("CatalogId DatabaseName"),
    ),
    Api(
        name="AWS::Glue::DataQualityRuleset", service="glue", noun="data_quality_ruleset",
        by="Name", updated=words("Description Ruleset Tags"),
        more=words("Name TargetTable ClientToken"), tags=_GLUE + "dataQualityRuleset/{id}",
    ),
    Api(
        name="AWS::Glue::Job", service="glue", noun="job", by="JobName", result="Job",
        updated=words(
            "Command Connections DefaultArguments Description ExecutionClass ExecutionProperty "
            "GlueVersion MaxCapacity MaxRetries NonOverridableArguments NumberOfWorkers Role "
            "SecurityConfiguration Tags Timeout WorkerType"
        ),
        more=words("Name"), remade=True, tags=_GLUE + "job/{id}",
    ),
    Api(
        name="AWS::Glue::SecurityConfiguration", service="glue", noun="security_configuration",
        by="Name", result="SecurityConfiguration", more=words("Name EncryptionConfiguration"),
        renamed={"S3Encryptions": "S3Encryption"},
    ),
    Api(
        name="AWS::Glue::Trigger", service="glue", noun="trigger", by="Name", result="Trigger",
        updated=words("Actions Description Predicate Schedule Tags"), remade=True,
        more=words("Name StartOnCreation Type WorkflowName"), tags=_GLUE + "trigger/{id}",
    ),
    Api(
        name="AWS::LakeFormation::Resource", service="lakeformation", noun="resource",
        calls={"create": "register_resource", "get": "describe_resource",
               "delete": "deregister_resource"},
        by="ResourceArn", named="ResourceArn",
        result="merge(ResourceInfo, {UseServiceLinkedRole: "
        "contains(ResourceInfo.RoleArn || '', '/aws-service-role/')})",
        updated=words("HybridAccessEnabled RoleArn WithFederation"),
        more=words("ResourceArn UseServiceLinkedRole"),
    ),
    Api(
        name="AWS::SSM::Parameter", service="ssm", noun="parameter", by="Name",
        calls={"create": "put_parameter", "update": "put_parameter"}, result="Parameter",
        forced={"Overwrite": True}, updated=words("Type Value Description Tags"),
        more=words("Name"), limit=1000, tags="{id}",
        values={"Type": "{Type}", "Value": "{Value}"},
    ),
    Api(
        name="AWS::SageMaker::Model", service="sagemaker", noun="model", by="ModelName",
        short=True, named="ModelName", id_path="ModelArn", calls={"get": "describe_model"},
        more=words(
            "EnableNetworkIsolation ExecutionRoleArn ModelName PrimaryContainer Tags VpcConfig"
        ),
        tags="{id}", values={"ModelName": "{short}", "ModelArn": "{id}"},
    ),
    Api(
        name="AWS::SageMaker::EndpointConfig", service="sagemaker", noun="endpoint_config",
        by="EndpointConfigName", short=True, named="EndpointConfigName",
        id_path="EndpointConfigArn", calls={"get": "describe_endpoint_config"},
        more=words(
            "AsyncInferenceConfig DataCaptureConfig EndpointConfigName KmsKeyId ProductionVariants "
            "Tags"
        ),
        tags="{id}", values={"EndpointConfigName": "{short}", "EndpointConfigArn": "{id}"},
    ),
    Endpoint(
        name="AWS::SageMaker::Endpoint", service="sagemaker", noun="endpoint", by="EndpointName",
        short=True, named="EndpointName", id_path="EndpointArn",
        calls={"get": "describe_endpoint"},
        result="merge(@, {DeploymentConfig: LastDeploymentConfig})",
        updated=words(
            "DeploymentConfig EndpointConfigName ExcludeRetainedVariantProperties "
            "RetainAllVariantProperties"
        ),
        more=words("EndpointName Tags"), tags="{id}",
        values={"EndpointName": "{short}", "EndpointArn": "{id}"},
    ),
    Api(
        name="AWS::SageMaker::MlflowApp", service="sagemaker", noun="mlflow_app", by="Arn",
        id_path="Arn", calls={"get": "describe_mlflow_app"}, tags="{id}",
        updated=words("ArtifactStoreUri ModelRegistrationMode WeeklyMaintenanceWindowStart"),
        more=words("Name RoleArn Tags"), values={"Arn": "{id}", "Status": "Created"},
    ),
    Api(
        name="AWS::IAM::OIDCProvider", service="iam", noun="open_id_connect_provider",
        by="OpenIDConnectProviderArn", named="Url", id_path="OpenIDConnectProviderArn",
        # IAM verifies the certificates of well-known issuers itself: no thumbprint is passed on.
        result="{Url: join('', ['https://', Url]), ClientIdList: ClientIDList, Tags: Tags}",
        calls={"update": ""}, updated=words("Tags"), more=words("ClientIdList Url"), tags="{id}",
        values={"Arn": "{id}"},
    ),
    Api(
        name="AWS::S3::BucketPolicy", service="s3", noun="bucket_policy", by="Bucket",
        calls={"create": "put_bucket_policy", "update": "put_bucket_policy"}, named="Bucket",
        renamed={"PolicyDocument": "Policy"}, unique=True, updated=words("PolicyDocument"),
        more=words("Bucket"),
    ),
)  # fmt: skip
