"""Resources that an earlier deploy may have left; each function returns one that undoes it."""

from sashiko.aws.resources.names import exec_role_arn
from verification.deploy.governed import Governed, Undo

CURATED = "sashiko-dev-curated-111122223333-us-east-1"


def make_role(account: Governed, name: str) -> Undo:
    iam = account.emulator.client("iam")
    if name not in {role["RoleName"] for role in iam.list_roles()["Roles"]}:
        iam.create_role(RoleName=name, AssumeRolePolicyDocument="{}")
    return lambda: iam.delete_role(RoleName=name)


def bucket(account: Governed) -> Undo:
    s3 = account.emulator.client("s3")
    s3.create_bucket(Bucket=CURATED)
    return lambda: s3.delete_bucket(Bucket=CURATED)


def role(account: Governed) -> Undo:
    return make_role(account, "sashiko-dev-broker")


def key(account: Governed) -> Undo:
    kms = account.emulator.client("kms")
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    kms.create_alias(AliasName="alias/sashiko-dev-lake", TargetKeyId=key)
    return lambda: kms.delete_alias(AliasName="alias/sashiko-dev-lake")


def log_group(account: Governed) -> Undo:
    logs, templates = account.emulator.client("logs"), account.environment.templates
    names = [g.properties["LogGroupName"] for g in templates.of_type("AWS::Logs::LogGroup")]
    name = next(name for name in names if name.endswith("vpc-flow-logs"))
    logs.create_log_group(logGroupName=name)
    return lambda: logs.delete_log_group(logGroupName=name)


def database(account: Governed) -> Undo:
    account.glue.create_database(DatabaseInput={"Name": account.database})
    return lambda: account.glue.delete_database(Name=account.database)


def job(account: Governed) -> Undo:
    name = "sashiko-dev-etl-complaints"
    account.glue.create_job(Name=name, Role="x", Command={"Name": "glueetl"})
    return lambda: account.glue.delete_job(JobName=name)


def ruleset(account: Governed) -> Undo:
    name = "sashiko-dev-etl-complaints"
    account.glue.create_data_quality_ruleset(Name=name, Ruleset="Rules = [RowCount > 0]")
    return lambda: account.glue.delete_data_quality_ruleset(Name=name)


def security_configuration(account: Governed) -> Undo:
    kind = "AWS::Glue::SecurityConfiguration"
    (template_resource,) = account.environment.templates.of_type(kind)
    name = template_resource.properties["Name"]
    account.glue.create_security_configuration(Name=name, EncryptionConfiguration={})
    return lambda: account.glue.delete_security_configuration(Name=name)


def workgroup(account: Governed) -> Undo:
    athena = account.emulator.client("athena")
    athena.create_work_group(Name="sashiko-dev-snapshots-training")
    return lambda: athena.delete_work_group(WorkGroup="sashiko-dev-snapshots-training")


def location(account: Governed) -> Undo:
    arn = min(account.environment.governance.locations)
    role = exec_role_arn(account.environment.settings)
    account.formation.register_resource(ResourceArn=arn, RoleArn=role)
    return lambda: account.formation.deregister_resource(ResourceArn=arn)


def repository(account: Governed) -> Undo:
    ecr, name = account.emulator.client("ecr"), "sashiko-dev/job"
    ecr.create_repository(repositoryName=name)
    return lambda: ecr.delete_repository(repositoryName=name)


def function(account: Governed) -> Undo:
    functions, name = account.emulator.client("lambda"), "sashiko-dev-image-build-starter"
    role = exec_role_arn(account.environment.settings)
    code = {"ZipFile": b"no zip"}
    functions.create_function(
        FunctionName=name, Role=role, Code=code, Runtime="python3.12", Handler="x.y"
    )
    return lambda: functions.delete_function(FunctionName=name)


def build_project(account: Governed) -> Undo:
    builds, name = account.emulator.client("codebuild"), "sashiko-dev-image-build"
    machine = {"type": "LINUX_CONTAINER", "image": "x", "computeType": "BUILD_GENERAL1_SMALL"}
    builds.create_project(
        name=name,
        source={"type": "NO_SOURCE"},
        artifacts={"type": "NO_ARTIFACTS"},
        environment=machine,
        serviceRole=exec_role_arn(account.environment.settings),
    )
    return lambda: builds.delete_project(name=name)


def model_package_group(account: Governed) -> Undo:
    sagemaker = account.emulator.client("sagemaker")
    group_name = {"ModelPackageGroupName": "sashiko-dev-complaint-triage"}
    sagemaker.create_model_package_group(**group_name)
    return lambda: sagemaker.delete_model_package_group(**group_name)
