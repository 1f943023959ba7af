"""What handlers need for what we do not do: type -> reason -> the actions that stay refused."""

from collections.abc import Mapping

EXCUSED: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "AWS::ApplicationAutoScaling::ScalableTarget": {
        "it scales as its service-linked role: no other role is passed": ("iam:PassRole",),
        "for functions": ("lambda:*ProvisionedConcurrencyConfig",),
        "nothing scales by the clock": (
            "application-autoscaling:DeleteScheduledAction",
            "application-autoscaling:PutScheduledAction",
        ),
    },
    "AWS::ApplicationAutoScaling::ScalingPolicy": {
        "for predictive scaling": ("cloudwatch:GetMetricData",),
    },
    "AWS::Athena::WorkGroup": {
        "a query reads and writes as who asks it; the cap keeps CloudFormation from data": (
            "kms:Decrypt",
            "kms:GenerateDataKey",
            "s3:AbortMultipartUpload",
            "s3:GetObject",
            "s3:ListBucketMultipartUploads",
            "s3:ListMultipartUploadParts",
            "s3:PutObject",
        ),
        "for notebooks and managed results, which no workgroup has": (
            "iam:CreateServiceLinkedRole",
            "iam:PassRole",
        ),
    },
    "AWS::ECR::Repository": {
        "images are pulled in this account alone, by roles": (
            "ecr:DeleteRepositoryPolicy",
            "ecr:SetRepositoryPolicy",
        ),
    },
    "AWS::EC2::FlowLog": {
        "for logs of Auto Scaling groups and containers": ("autoscaling:DescribeTags", "ecs:List*"),
        "for logs that go to S3 or Firehose: ours go to CloudWatch": (
            "iam:CreateServiceLinkedRole",
            "s3:GetBucketPolicy",
            "s3:PutBucketPolicy",
        ),
    },
    "AWS::EC2::Subnet": {
        "for IPv6": ("ec2:AssociateSubnetCidrBlock", "ec2:DisassociateSubnetCidrBlock"),
    },
    "AWS::EC2::VPC": {
        "for encryption controls": ("ec2:CreateVpcEncryptionControl",),
        "for dedicated tenancy": ("ec2:ModifyVpcTenancy",),
    },
    "AWS::EC2::VPCEndpoint": {
        "for endpoints of VPC Lattice": ("vpc-lattice:CreateServiceNetworkVpcEndpointAssociation",),
        "for endpoints of another region": ("vpce:AllowMultiRegion",),
    },
    "AWS::Glue::Database": {
        "for databases that are another catalog's": ("glue:*Connection",),
    },
    "AWS::IAM::ManagedPolicy": {
        "roles are the only identities; the cap denies the others": (
            "iam:*tachGroupPolicy",
            "iam:*tachUserPolicy",
        ),
    },
    "AWS::IAM::Role": {
        "no role loses its boundary; the cap denies it": ("iam:DeleteRolePermissionsBoundary",),
    },
    "AWS::KMS::Key": {
        "for keys of several regions and of key stores": ("iam:CreateServiceLinkedRole",),
        "a key is enabled and rotates from its first day to its last": (
            "kms:DisableKey",
            "kms:DisableKeyRotation",
            "kms:EnableKey",
        ),
    },
    "AWS::Lambda::Function": {
        "for file systems": ("elasticfilesystem:DescribeMountTargets", "s3files:ListMountTargets"),
        "for environment variables, which ours have none of": (
            "kms:CreateGrant",
            "kms:Encrypt",
            "kms:GenerateDataKey",
        ),
        "a new account has no concurrency to reserve": (
            "lambda:DeleteFunctionConcurrency",
            "lambda:PutFunctionConcurrency",
        ),
        "for layers, signed code, versions, capacity and other settings than the defaults": (
            "lambda:DeleteFunctionCodeSigningConfig",
            "lambda:GetCodeSigningConfig",
            "lambda:GetLayerVersion",
            "lambda:PassCapacityProvider",
            "lambda:PublishVersion",
            "lambda:PutFunctionCodeSigningConfig",
            "lambda:PutFunctionRecursionConfig",
            "lambda:PutFunctionScalingConfig",
            "lambda:PutRuntimeManagementConfig",
        ),
    },
    "AWS::Logs::LogGroup": {
        "for data protection policies and what they find": (
            "firehose:TagDeliveryStream",
            "logs:DeleteDataProtectionPolicy",
            "logs:PutDataProtectionPolicy",
        ),
        "for resource policies": ("logs:DescribeResourcePolicies", "logs:PutResourcePolicy"),
        "a group keeps its key and its retention": (
            "logs:DeleteRetentionPolicy",
            "logs:DisassociateKmsKey",
        ),
    },
    "AWS::S3::Bucket": {
        "objects and ACLs: buckets have no ACLs, and the cap keeps CloudFormation from data": (
            "s3:DeleteObject",
            "s3:PutBucketAcl",
            "s3:PutObjectAcl",
        ),
        "for replication, which takes data out": ("iam:PassRole", "s3:PutReplicationConfiguration"),
        "for S3's metadata tables": ("s3:*BucketMetadataTableConfiguration", "s3tables:*"),
        "for websites, inventories, metrics, tiering, locks": (
            "s3:DeleteBucketWebsite",
            "s3:PutAccelerateConfiguration",
            "s3:PutAnalyticsConfiguration",
            "s3:PutBucketCORS",
            "s3:PutBucketObjectLockConfiguration",
            "s3:PutBucketWebsite",
            "s3:PutIntelligentTieringConfiguration",
            "s3:PutInventoryConfiguration",
            "s3:PutMetricsConfiguration",
        ),
    },
    "AWS::SNS::Topic": {
        "for logs of deliveries": ("iam:GetRole", "iam:PassRole"),
        "for data protection policies": ("sns:PutDataProtectionPolicy",),
    },
    "AWS::StepFunctions::StateMachine": {
        "for definitions that lie in S3": ("s3:GetObject", "s3:GetObjectVersion"),
        "for machines under a customer's key: what they hold are names": (
            "kms:Decrypt",
            "kms:DescribeKey",
            "kms:GenerateDataKey",
        ),
    },
    "AWS::SageMaker::EndpointConfig": {
        "for inference components, which have a role of their own": ("iam:PassRole",),
    },
    "AWS::SageMaker::Pipeline": {
        "for definitions in a bucket: ours stands in the template": ("s3:GetObject",),
    },
}
# Names that the schemas have and IAM has not: what they stand for is allowed under another name
# (DeleteBucketTagging is PutBucketTagging), or belongs to a feature above.
NOT_IN_IAM = {
    "lambda:AssociateRuntimeAlias",
    "s3:DeleteBucketAnalyticsConfiguration",
    "s3:DeleteBucketCors",
    "s3:DeleteBucketEncryption",
    "s3:DeleteBucketLifecycle",
    "s3:DeleteBucketMetricsConfiguration",
    "s3:DeleteBucketReplication",
    "s3:DeleteBucketTagging",
    "s3:PutBucketReplication",
    "s3:PutObjectLockConfiguration",
    "s3:REST.PUT.OBJECT",
    "vpc-lattice:DescribeServiceNetworkVpcEndpointAssociation",
}
