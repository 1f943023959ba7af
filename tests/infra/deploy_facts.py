"""What is known of AWS: what a handler needs, and on which ARNs of ours IAM checks an action."""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from cfnlint.data import AdditionalSpecs
from cfnlint.helpers import load_resource

import sashiko_cdk.bootstrap

_FILE = Path(sashiko_cdk.bootstrap.__file__).with_name("resource_types.yaml")
_FACTS = yaml.safe_load(_FILE.read_text(encoding="utf-8"))
_CALLS = {verb: ["lambda:InvokeFunction"] for verb in ("create", "update", "delete")}
_CUSTOM = ("ClosedLake", "DataLakeSettings", "ImageBuild", "Judged", "Preflight", "Woken")
HANDLERS: Mapping[str, Mapping[str, list[str]]] = {
    kind: facts["handlers"] for kind, facts in _FACTS["types"].items()
} | {f"Custom::{name}": _CALLS for name in _CUSTOM}
# Type -> what handlers need for what we do not do: reason, actions, properties that need them.
UNUSED: Mapping[str, list[Mapping[str, Any]]] = {
    kind: facts.get("unused", []) for kind, facts in _FACTS["types"].items()
}
NOT_IN_IAM = set(_FACTS["not_in_iam"])
WITHOUT_ARN = set(_FACTS["without_arn"])
DEPENDENT: Mapping[str, list[str]] = _FACTS["dependent"]
_ASSETS = "arn:aws:s3:::cdk-sashiko-assets-{account}-{region}"
# To which service a type hands a role of its properties.
PASSED_TO = {
    "AWS::Events::Rule": "events.amazonaws.com",
    "AWS::EC2::FlowLog": "vpc-flow-logs.amazonaws.com",
    "AWS::CodeBuild::Project": "codebuild.amazonaws.com",
    "AWS::CodePipeline::Pipeline": "codepipeline.amazonaws.com",
    "AWS::Glue::Job": "glue.amazonaws.com",
    "AWS::Lambda::Function": "lambda.amazonaws.com",
    "AWS::LakeFormation::Resource": "lakeformation.amazonaws.com",
    "AWS::SageMaker::MlflowApp": "sagemaker.amazonaws.com",
    "AWS::SageMaker::Model": "sagemaker.amazonaws.com",
    "AWS::SageMaker::Pipeline": "sagemaker.amazonaws.com",
    "AWS::StepFunctions::StateMachine": "states.amazonaws.com",
}
# Which service asks KMS on the caller's behalf.
THROUGH = {
    "AWS::ECR::Repository": "ecr.us-east-1.amazonaws.com",
    "AWS::SageMaker::Endpoint": "sagemaker.us-east-1.amazonaws.com",
}
# What a service decrypts for the caller, as S3 names it.
CONTEXT = {"AWS::Lambda::Function": f"{_ASSETS}/some.zip"}
# What is made with its tags, under an id that nobody knows before.
WITHOUT_ID = {
    "AWS::Bedrock::Guardrail": {"bedrock:CreateGuardrail", "bedrock:TagResource"},
    "AWS::KMS::Key": {"kms:CreateKey", "kms:PutKeyPolicy", "kms:TagResource"},
    "AWS::SageMaker::MlflowApp": {"sagemaker:AddTags", "sagemaker:CreateMlflowApp"},
}
# What a handler reads of another type's resource, and does not tag.
READ_ALONE = {("AWS::SageMaker::Model", "model-package"): "sagemaker:DescribeModelPackage"} | {
    ("AWS::Glue::DataQualityRuleset", kind): "glue:GetTable"
    for kind in ("database", "rootcatalog", "table")
}
# Of which the Service Authorization Reference does not say that it has tags.
ALSO_ON = {
    ("AWS::Bedrock::Guardrail", "bedrock:CreateGuardrail"): "guardrail",
    ("AWS::Glue::DataQualityRuleset", "glue:GetTags"): "dataQualityRuleset",
}
WITHOUT_REGION = {"iam", "route53"}
# Actions that take no ARN are checked on everything: a pattern other than `*` never matches.
EVERYTHING = "everything"

_GUARDRAIL = "arn:aws:bedrock:{here}:guardrail/some"
_GLUE = "arn:aws:glue:{here}"
_CATALOG = {
    "rootcatalog": f"{_GLUE}:catalog",
    "database": f"{_GLUE}:database/{{database}}",
    "table": f"{_GLUE}:table/{{database}}/some",
}
# Type -> kind of resource in the Service Authorization Reference -> the ARN of ours. EC2's are
# made up where they are needed: nothing in them is known before.
ARNS: Mapping[str, Mapping[str, str]] = {
    "AWS::ApplicationAutoScaling::ScalableTarget": {
        "ScalableTarget": "arn:aws:application-autoscaling:{here}:scalable-target/some",
        # Tried with no alarm's name ("Permissions validation", Application Auto Scaling's guide).
        "alarm": "*",
        "endpoint": "arn:aws:sagemaker:{here}:endpoint/sashiko-any",
        "endpoint-config": "arn:aws:sagemaker:{here}:endpoint-config/sashiko-any",
        "role": "arn:aws:iam::{account}:role/aws-service-role/"
        "sagemaker.application-autoscaling.amazonaws.com/"
        "AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint",
    },
    "AWS::ApplicationAutoScaling::ScalingPolicy": {
        "ScalableTarget": "arn:aws:application-autoscaling:{here}:scalable-target/some"
    },
    "AWS::Bedrock::Guardrail": {"guardrail": _GUARDRAIL},
    "AWS::Bedrock::GuardrailVersion": {"guardrail": _GUARDRAIL},
    "AWS::CloudWatch::Dashboard": {
        "dashboard": "arn:aws:cloudwatch::{account}:dashboard/{DashboardName}"
    },
    "AWS::Athena::WorkGroup": {
        "workgroup": "arn:aws:athena:{here}:workgroup/{Name}",
        "bucket": "arn:aws:s3:::{results}",
    },
    "AWS::Budgets::Budget": {
        "budget": "arn:aws:budgets::{account}:budget/{budget}",
        "billingview": "arn:aws:billing::{account}:billingview/primary",
    },
    "AWS::CloudWatch::Alarm": {"alarm": "arn:aws:cloudwatch:{here}:alarm:{AlarmName}"},
    "AWS::Events::EventBus": {"event-bus": "arn:aws:events:{here}:event-bus/{Name}"},
    "AWS::Events::Rule": {
        "rule-on-default-event-bus": "arn:aws:events:{here}:rule/{Name}",
        "role": "{router}",
    },
    "AWS::CodeBuild::Project": {
        "project": "arn:aws:codebuild:{here}:project/{Name}",
        "role": "{ServiceRole}",
    },
    "AWS::CodePipeline::Pipeline": {
        "pipeline": "arn:aws:codepipeline:{here}:{Name}",
        "role": "{RoleArn}",
        "Connection": "arn:aws:codeconnections:{here}:connection/some",
    },
    "AWS::EC2::FlowLog": {"role": "{DeliverLogsPermissionArn}"},
    "AWS::EC2::VPCEndpoint": {"hostedzone": "arn:aws:route53:::hostedzone/of-aws"},
    "AWS::ECR::Repository": {
        "repository": "arn:aws:ecr:{here}:repository/{RepositoryName}",
        "key": "arn:aws:kms:{here}:key/some",
    },
    "AWS::Glue::DataQualityRuleset": _CATALOG
    | {"dataQualityRuleset": f"{_GLUE}:dataQualityRuleset/{{Name}}"},
    "AWS::Glue::Database": _CATALOG
    | {"userdefinedfunction": f"{_GLUE}:userDefinedFunction/{{database}}/some"},
    "AWS::Glue::Job": {"job": f"{_GLUE}:job/{{Name}}", "role": "{Role}"},
    "AWS::Glue::Table": _CATALOG | {"table": f"{_GLUE}:table/{{database}}/{{Name}}"},
    "AWS::IAM::ManagedPolicy": {
        "policy": "arn:aws:iam::{account}:policy/{ManagedPolicyName}",
        "role": "arn:aws:iam::{account}:role/{attached}",
    },
    "AWS::IAM::OIDCProvider": {
        "oidc-provider": "arn:aws:iam::{account}:oidc-provider/token.actions.githubusercontent.com"
    },
    "AWS::IAM::Role": {"role": "arn:aws:iam::{account}:role/{RoleName}"},
    "AWS::KMS::Alias": {
        "alias": "arn:aws:kms:{here}:{AliasName}",
        "key": "arn:aws:kms:{here}:key/some",
    },
    "AWS::KMS::Key": {"key": "arn:aws:kms:{here}:key/some"},
    "AWS::Lambda::Function": {
        "function": "arn:aws:lambda:{here}:function:{FunctionName}",
        "role": "{Role}",
        "object": f"{_ASSETS}/some.zip",
        "key": "arn:aws:kms:{here}:key/of-s3",
    },
    "AWS::Lambda::Permission": {"function": "arn:aws:lambda:{here}:function:{called}"},
    "AWS::LakeFormation::DataCellsFilter": _CATALOG,
    "AWS::LakeFormation::PrincipalPermissions": _CATALOG,
    "AWS::LakeFormation::Resource": {"role": "{RoleArn}"},
    "AWS::LakeFormation::TagAssociation": _CATALOG,
    "AWS::Logs::LogGroup": {"log-group": "arn:aws:logs:{here}:log-group:{LogGroupName}"},
    "AWS::S3::Bucket": {"bucket": "arn:aws:s3:::{BucketName}"},
    "AWS::S3::BucketPolicy": {"bucket": "arn:aws:s3:::{Bucket}"},
    "AWS::SNS::Topic": {"topic": "arn:aws:sns:{here}:{TopicName}"},
    "AWS::SNS::TopicPolicy": {"topic": "arn:aws:sns:{here}:{topic}"},
    "AWS::SQS::Queue": {"queue": "arn:aws:sqs:{here}:{QueueName}"},
    "AWS::SQS::QueuePolicy": {"queue": "arn:aws:sqs:{here}:{queue}"},
    "AWS::StepFunctions::StateMachine": {
        "statemachine": "arn:aws:states:{here}:stateMachine:{StateMachineName}",
        "role": "{RoleArn}",
    },
    "AWS::SageMaker::Endpoint": {
        "endpoint": "arn:aws:sagemaker:{here}:endpoint/{EndpointName}",
        "endpoint-config": "arn:aws:sagemaker:{here}:endpoint-config/{EndpointConfigName}",
        "key": "arn:aws:kms:{here}:key/some",
    },
    "AWS::SageMaker::EndpointConfig": {
        "endpoint-config": "arn:aws:sagemaker:{here}:endpoint-config/{EndpointConfigName}",
        "key": "arn:aws:kms:{here}:key/some",
    },
    "AWS::SageMaker::Model": {
        "model": "arn:aws:sagemaker:{here}:model/{ModelName}",
        "model-package": "arn:aws:sagemaker:{here}:model-package/{package}",
        "role": "{ExecutionRoleArn}",
    },
    "AWS::SageMaker::MlflowApp": {
        "mlflow-app": "arn:aws:sagemaker:{here}:mlflow-app/app-SOME",
        "role": "{RoleArn}",
    },
    "AWS::SageMaker::ModelPackageGroup": {
        "model-package-group": "arn:aws:sagemaker:{here}:model-package-group/"
        "{ModelPackageGroupName}"
    },
    "AWS::SageMaker::Pipeline": {
        "pipeline": "arn:aws:sagemaker:{here}:pipeline/{PipelineName}",
        "role": "{RoleArn}",
    },
    "Custom::ClosedLake": {"function": "arn:aws:lambda:{here}:function:{called}"},
    "Custom::DataLakeSettings": {"function": "arn:aws:lambda:{here}:function:{called}"},
    "Custom::ImageBuild": {"function": "arn:aws:lambda:{here}:function:{called}"},
    "Custom::Judged": {"function": "arn:aws:lambda:{here}:function:{called}"},
    "Custom::Preflight": {"function": "arn:aws:lambda:{here}:function:{called}"},
    "Custom::Woken": {"function": "arn:aws:lambda:{here}:function:{called}"},
}


@functools.cache
def takes(action: str) -> tuple[str, ...] | None:
    """Returns the kinds of resources that an action is checked on; None if IAM lacks the action."""
    service, _, name = action.partition(":")
    actions = _authorization().get(service, {}).get("Actions", {})
    action_facts = actions.get(name.lower())
    return None if action_facts is None else tuple(action_facts.get("Resources", ()))


@functools.cache
def _authorization() -> Any:
    """The Service Authorization Reference, as cfn-lint carries it."""
    return load_resource(AdditionalSpecs, "Policies.json")
