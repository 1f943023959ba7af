"""The controls that the security page is about: what each asks, and of which resources.

What proves a control is not written here: a test says so itself (`@pytest.mark.control`). A control
without a resource of its own says why; a resource of its kinds then needs a proof.
"""

from dataclasses import dataclass

from sashiko_cdk.security_rules.plugin import all_rules
from sashiko_cdk.security_rules.rules import RETAIN, STATEFUL

_ANY = "AWS::*"
_BUCKET, _KEY = "AWS::S3::Bucket", "AWS::KMS::Key"
_ROLE, _POLICY = "AWS::IAM::Role", "AWS::IAM::ManagedPolicy"
_GRANT = "AWS::LakeFormation::PrincipalPermissions"
_DOOR, _GROUP, _SUBNET = "AWS::EC2::VPCEndpoint", "AWS::EC2::SecurityGroup", "AWS::EC2::Subnet"
_MODEL, _ENDPOINT_CONFIG = "AWS::SageMaker::Model", "AWS::SageMaker::EndpointConfig"
_POLICED = (_KEY, "AWS::S3::BucketPolicy", "AWS::SNS::TopicPolicy")
_STORES = (
    _BUCKET,
    "AWS::Athena::WorkGroup",
    "AWS::ECR::Repository",
    "AWS::Glue::Job",
    "AWS::Glue::SecurityConfiguration",
    "AWS::Logs::LogGroup",
    "AWS::SNS::Topic",
)


@dataclass(frozen=True, kw_only=True)
class Control:
    """Something that a reviewer asks for.

    Attributes:
        id: as the standard names it.
        asks: what must hold.
        kinds: the CloudFormation types that it is about; `*` stands for any text.
        absent: why the templates need not prove it; "" where they do.
    """

    id: str
    asks: str
    kinds: tuple[str, ...] = ()
    absent: str = ""


def _control(id: str, asks: str, *kinds: str, absent: str = "") -> Control:
    return Control(id=id, asks=asks, kinds=kinds, absent=absent)


_NO_ENDPOINT = (
    "Nothing is served by default (`serving.enabled`). `tests/infra/test_serving.py` proves it "
    "for an endpoint."
)
# What is in no template of an environment as it ships -> why.
_ABSENT = {
    **dict.fromkeys(("AWS::SageMaker::Endpoint", _ENDPOINT_CONFIG, _MODEL), _NO_ENDPOINT),
    "AWS::ApplicationAutoScaling::ScalableTarget": _NO_ENDPOINT,
    "AWS::Bedrock::Guardrail": (
        "Nothing runs on Bedrock by default (`bedrock.enabled`). "
        "`tests/packs/bedrock/infra/test_bedrock_stack.py` proves it for a guardrail."
    ),
}
SECURITY_HUB = (
    _control("S3.2", "no bucket is readable by the public", _BUCKET, "AWS::S3::BucketPolicy"),
    _control("S3.3", "no bucket is writable by the public", _BUCKET, "AWS::S3::BucketPolicy"),
    _control("S3.5", "buckets accept TLS only", _BUCKET, "AWS::S3::BucketPolicy"),
    _control("S3.8", "each bucket blocks public access", _BUCKET),
    _control("S3.9", "access to each bucket is logged, except to the bucket of the logs", _BUCKET),
    _control("S3.12", "buckets use no ACLs", _BUCKET),
    _control("S3.13", "buckets have a lifecycle", _BUCKET),
    _control("S3.14", "buckets keep versions", _BUCKET),
    _control("S3.17", "buckets are encrypted with KMS keys, except access logs", _BUCKET),
    _control("KMS.1", "no managed policy allows decryption with every key", _POLICY),
    _control("KMS.2", "no inline policy allows decryption with every key", _ROLE),
    _control("KMS.4", "symmetric keys rotate; the signing key is replaced by hand", _KEY),
    _control("IAM.1", "no policy allows everything on everything", _POLICY),
    _control("Glue.4", "Spark jobs run on a supported version of Glue", "AWS::Glue::Job"),
    _control("EC2.6", "the VPC's flows are logged", "AWS::EC2::VPC", "AWS::EC2::FlowLog"),
    _control("EC2.15", "subnets give no public addresses", _SUBNET),
    _control(
        "S3.1",
        "the account blocks public access to its buckets",
        absent="An account setting without a CloudFormation type. S3.8 covers each bucket.",
    ),
    _control(
        "S3.15",
        "buckets of models and audits have object lock",
        absent="Not implemented: versions and the signed manifest show and undo a change; neither "
        "forbids it.",
    ),
    _control(
        "S3.22, S3.23",
        "CloudTrail records what happens to objects",
        "AWS::CloudTrail::Trail",
        absent="A trail belongs to the account, not to an environment. S3.9 logs each access.",
    ),
    _control(
        "EC2.2",
        "the VPC's default group is closed",
        absent="CloudFormation cannot do it. `docs/first-deploy.md` closes it by hand.",
    ),
    _control(
        "IAM.21",
        "no managed policy allows a service's every action",
        absent="The boundary does, which only limits. Policies name actions (IAM5).",
    ),
    _control(
        "SageMaker.1, SageMaker.2, SageMaker.3",
        "notebook instances are closed",
        "AWS::SageMaker::NotebookInstance",
        absent="There are no notebook instances.",
    ),
    _control("SageMaker.4", "endpoints have two instances", _ENDPOINT_CONFIG, absent=_NO_ENDPOINT),
    _control("SageMaker.5", "models run isolated", _MODEL, absent=_NO_ENDPOINT),
    _control("ECR.1, ECR.2", "images are scanned, their tags immutable", "AWS::ECR::Repository"),
    _control("SNS.4", "topics are not public", "AWS::SNS::Topic"),
    _control("SQS.1", "queues are encrypted", "AWS::SQS::Queue"),
    _control("StepFunctions.1", "state machines log", "AWS::StepFunctions::StateMachine"),
    _control(
        "Lambda.1, Lambda.2",
        "functions are private and on supported runtimes",
        "AWS::Lambda::Function",
    ),
)
NIST = (
    _control("AC-4", "data flows only where its classification allows", _GRANT, "AWS::Glue::Table"),
    _control("AC-5", "nobody both registers and approves a model", _ROLE),
    _control("AC-6", "policies name actions and resources", _ROLE, _POLICY),
    _control(
        "the whole pack",
        "every finding of cdk-nag's NIST 800-53 R5 pack has a written reason",
        _ANY,
    ),
    _control("IA-2(1)", "people sign in with a second factor", _ROLE),
    _control("SC-7", "VPC endpoints and security groups name their callers", _DOOR, _GROUP),
    _control(
        "SC-28",
        "jobs start encrypted and inside the VPC only",
        _ROLE,
        "AWS::SageMaker::Pipeline",
    ),
)
CDK_NAG = (
    _control("IAM4", "no policy of AWS's own is attached", _ROLE),
    _control("IAM5", "each wildcard has a written reason", _ROLE, _POLICY),
    _control("KMS5", "keys rotate", _KEY),
    _control("S2", "buckets block public access in each of the four ways", _BUCKET),
    _control("S10", "buckets accept TLS only", _BUCKET, "AWS::S3::BucketPolicy"),
    _control("GL1", "Glue's jobs encrypt their logs", "AWS::Glue::Job"),
    _control("GL3", "Glue's jobs encrypt their bookmarks", "AWS::Glue::Job"),
)
# Rule -> what must hold, and the types that it looks at in these templates.
_ASKED: dict[str, tuple[str, *tuple[str, ...]]] = {
    "wildcard": ("policies of resources name actions and resources", _DOOR, *_POLICED),
    "public": ("policies of resources admit named callers or this account", _DOOR, *_POLICED),
    "confused-deputy": ("a service acts here for this account only", _ROLE, *_POLICED),
    "boundary": ("each role has the project's permissions boundary", _ROLE),
    "customer-key": ("each store is encrypted with a key of this project", *_STORES),
    "retain": ("stateful resources outlive their stack", *sorted(STATEFUL), _ROLE),
    "row-filter": ("a principal with a row filter reads that table by no other grant", _GRANT),
    "tag-environment": ("a grant by tags reaches its own environment's tables alone", _GRANT),
    "broken-type": ("no Iceberg or S3 tables: CloudFormation breaks them", "AWS::Glue::Table"),
    "settings-by-function": ("a function writes the lake's settings", "Custom::DataLakeSettings"),
    "internet": ("the network has no route to or from the internet", _SUBNET),
    "foreign-network": ("a network of others is named, with the reason", "AWS::SageMaker::*"),
    "open-group": ("no security group is open to every address", "AWS::EC2::SecurityGroup*"),
    "model-isolation": ("models run in the VPC and open no connection", _MODEL),
    "capture-key": ("captured requests have a key of their own", _ENDPOINT_CONFIG),
    "async-failure": ("a request that fails leaves a file, and somebody hears", _ENDPOINT_CONFIG),
    "async-wake": (
        "what scales to no instance is woken by its backlog",
        "AWS::ApplicationAutoScaling::ScalableTarget",
    ),
    "endpoint-update": (
        "alarms roll an update of an endpoint back, and it keeps the scaled count",
        "AWS::SageMaker::Endpoint",
    ),
    "model-source": ("a model names its image by version or digest", _MODEL),
    "invoked-through-guardrail": ("imported models are called through the guardrail", _POLICY),
    "guardrail-version": ("each guardrail has a numbered version", "AWS::Bedrock::Guardrail"),
}
_RULES = tuple(
    _control(rule.name, *_ASKED[rule.name], absent=_ABSENT.get(_ASKED[rule.name][1], ""))
    for rule in (*all_rules(), RETAIN)
)
# What a reviewer asks for without a number.
_LATER = (
    _control(
        "github-oidc",
        "CI assumes its role from one repository's environment alone",
        "AWS::IAM::OIDCProvider",
        absent="Off by default: config/delivery.yaml turns GitHub Actions on.",
    ),
    _control("budget", "spending above the budget raises an alert", "AWS::Budgets::Budget"),
)
STANDARDS = {
    "AWS Security Hub": SECURITY_HUB,
    "NIST 800-53 R5": NIST,
    "cdk-nag, AwsSolutions: a finding stops a synth": CDK_NAG,
    "Our own rules: a finding stops a synth": (*_RULES, *_LATER),
}
