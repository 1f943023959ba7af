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
    "Nothing is served as it ships (`serving.enabled`); where something is, "
    "`tests/infra/test_serving.py` holds it."
)
# What is in no template of an environment as it ships -> why.
_ABSENT = {
    **dict.fromkeys(
        ("AWS::SageMaker::Endpoint", "AWS::SageMaker::EndpointConfig", "AWS::SageMaker::Model"),
        _NO_ENDPOINT,
    ),
    "AWS::Bedrock::Guardrail": (
        "Nothing runs on Bedrock as it ships (`bedrock.enabled`); where something does, "
        "`tests/packs/bedrock/test_bedrock_stack.py` holds it."
    ),
}
SECURITY_HUB = (
    _control("S3.2", "no bucket is readable by the public", _BUCKET, "AWS::S3::BucketPolicy"),
    _control("S3.3", "no bucket is writable by the public", _BUCKET, "AWS::S3::BucketPolicy"),
    _control("S3.5", "buckets take TLS only", _BUCKET, "AWS::S3::BucketPolicy"),
    _control("S3.8", "each bucket blocks public access", _BUCKET),
    _control("S3.9", "access to buckets is logged, but to the logs' own", _BUCKET),
    _control("S3.12", "no ACLs decide on access to buckets", _BUCKET),
    _control("S3.13", "buckets have a lifecycle", _BUCKET),
    _control("S3.14", "buckets keep versions", _BUCKET),
    _control("S3.17", "buckets are encrypted with KMS keys, but for access logs", _BUCKET),
    _control("KMS.1", "no managed policy allows to decrypt under every key", _POLICY),
    _control("KMS.2", "no inline policy allows to decrypt under every key", _ROLE),
    _control("KMS.4", "symmetric keys rotate; the signing key is replaced by hand", _KEY),
    _control("IAM.1", "no policy allows everything on everything", _POLICY),
    _control("Glue.4", "Spark jobs run on a supported version of Glue", "AWS::Glue::Job"),
    _control("EC2.6", "the VPC's flows are logged", "AWS::EC2::VPC", "AWS::EC2::FlowLog"),
    _control("EC2.15", "subnets give no public addresses", _SUBNET),
    _control(
        "S3.1",
        "the account blocks public access to its buckets",
        absent="A setting of the account, without a CloudFormation type; S3.8 is each bucket's.",
    ),
    _control(
        "S3.15",
        "buckets of models and audits have object lock",
        absent="Not here yet: versions and the signed manifest tell and undo a change; neither "
        "forbids it.",
    ),
    _control(
        "S3.22, S3.23",
        "CloudTrail records what happens to objects",
        "AWS::CloudTrail::Trail",
        absent="The account's trail, not an environment's; S3.9 logs each access.",
    ),
    _control(
        "EC2.2",
        "the VPC's default group is closed",
        absent="CloudFormation cannot; `docs/first-deploy.md` does it by hand, and says why no "
        "role of ours can use that group.",
    ),
    _control(
        "IAM.21",
        "no managed policy allows a service's every action",
        absent="The boundary does: it caps and grants nothing. Policies name actions (IAM5).",
    ),
    _control(
        "SageMaker.1, SageMaker.2, SageMaker.3",
        "notebook instances are closed",
        "AWS::SageMaker::NotebookInstance",
        absent="There is none.",
    ),
    _control(
        "SageMaker.4",
        "endpoints have two instances",
        "AWS::SageMaker::EndpointConfig",
        absent=_NO_ENDPOINT,
    ),
    _control("SageMaker.5", "models run isolated", "AWS::SageMaker::Model", absent=_NO_ENDPOINT),
    _control(
        "ECR.1, ECR.2",
        "images are scanned, their tags immutable",
        "AWS::ECR::Repository",
    ),
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
    _control("AC-4", "data goes only where its classification allows", _GRANT, "AWS::Glue::Table"),
    _control("AC-5", "nobody both registers and approves a model", _ROLE),
    _control("AC-6", "policies name actions and resources", _ROLE, _POLICY),
    _control("the whole pack", "what cdk-nag's NIST 800-53 R5 pack finds is explained", _ANY),
    _control("IA-2(1)", "people come with a second factor", _ROLE),
    _control("SC-7", "the network's doors are few, and each knows its callers", _DOOR, _GROUP),
    _control(
        "SC-28",
        "jobs start encrypted and inside the VPC, or not at all",
        _ROLE,
        "AWS::SageMaker::Pipeline",
    ),
)
CDK_NAG = (
    _control("IAM4", "no policy of AWS's own is attached", _ROLE),
    _control("IAM5", "each wildcard has a written reason", _ROLE, _POLICY),
    _control("KMS5", "keys rotate", _KEY),
    _control("S2", "buckets block public access in each of the four ways", _BUCKET),
    _control("S10", "buckets take TLS only", _BUCKET, "AWS::S3::BucketPolicy"),
    _control("GL1", "Glue's jobs encrypt their logs", "AWS::Glue::Job"),
    _control("GL3", "Glue's jobs encrypt their bookmarks", "AWS::Glue::Job"),
)
# Rule -> what it looks at in these templates.
_LOOKS_AT: dict[str, tuple[str, ...]] = {
    "wildcard": ("AWS::S3::BucketPolicy", _KEY, _DOOR, "AWS::SNS::TopicPolicy"),
    "public": ("AWS::S3::BucketPolicy", _KEY, _DOOR, "AWS::SNS::TopicPolicy"),
    "confused-deputy": (_ROLE, _KEY, "AWS::S3::BucketPolicy", "AWS::SNS::TopicPolicy"),
    "boundary": (_ROLE,),
    "customer-key": _STORES,
    "retain": (*sorted(STATEFUL), _ROLE),
    "row-filter": (_GRANT,),
    "tag-environment": (_GRANT,),
    "broken-type": ("AWS::Glue::Table",),
    "settings-by-function": ("Custom::DataLakeSettings",),
    "internet": (_SUBNET,),
    "open-group": ("AWS::EC2::SecurityGroup*",),
    "model-isolation": ("AWS::SageMaker::Model",),
    "capture-key": ("AWS::SageMaker::EndpointConfig",),
    "endpoint-update": ("AWS::SageMaker::Endpoint",),
    "model-source": ("AWS::SageMaker::Model",),
    "invoked-through-guardrail": (_POLICY,),
    "guardrail-version": ("AWS::Bedrock::Guardrail",),
}
_RULES = tuple(
    Control(
        id=rule.name,
        asks=f"never: {rule.description[0].lower()}{rule.description[1:].rstrip('.')}",
        kinds=_LOOKS_AT[rule.name],
        absent=_ABSENT.get(_LOOKS_AT[rule.name][0], ""),
    )
    for rule in (*all_rules(), RETAIN)
)
# What a reviewer asks for without a number.
_LATER = (
    _control(
        "github-oidc",
        "CI assumes its role from one repository's environment alone",
        "AWS::IAM::OIDCProvider",
        absent="GitHub Actions deploys nothing here: config/delivery.yaml does not say so.",
    ),
    _control("budget", "spending raises an alert", "AWS::Budgets::Budget"),
)
STANDARDS = {
    "AWS Security Hub": SECURITY_HUB,
    "NIST 800-53 R5": NIST,
    "cdk-nag, AwsSolutions: a finding stops a synth": CDK_NAG,
    "Ours: a finding stops a synth": (*_RULES, *_LATER),
}
