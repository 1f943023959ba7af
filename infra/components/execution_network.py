"""What CloudFormation may do to the VPC, its endpoints and flow logs."""

from infra.components.allow import Allowed, allow
from sashiko.settings import Settings


def network(settings: Settings) -> list[Allowed]:
    """Returns what the network takes, in the project's region alone."""
    made = "FlowLogs", "RouteTable", "SecurityGroup", "Subnet", "Tags", "Vpc"
    return [
        allow(
            [f"ec2:{verb}{kind}" for verb in ("Create", "Delete") for kind in made]
            + [
                "ec2:AssociateRouteTable",
                "ec2:AuthorizeSecurityGroupEgress",
                "ec2:AuthorizeSecurityGroupIngress",
                "ec2:CreateVpcEndpoint",
                "ec2:DeleteVpcEndpoints",
                "ec2:Describe*",
                "ec2:DisassociateRouteTable",
                "ec2:ModifySubnetAttribute",
                "ec2:ModifyVpcAttribute",
                "ec2:ModifyVpcEndpoint",
                "ec2:ReplaceRouteTableAssociation",
                "ec2:RevokeSecurityGroupEgress",
                "ec2:RevokeSecurityGroupIngress",
                "ec2:UpdateSecurityGroupRuleDescriptionsEgress",
                "ec2:UpdateSecurityGroupRuleDescriptionsIngress",
                "logs:CreateLogDelivery",
                "logs:DeleteLogDelivery",
                "logs:DescribeLogGroups",
            ],
            ["*"],
            conditions={"StringEquals": {"aws:RequestedRegion": settings.region}},
            why="A VPC's parts have ids that are not known before; the region is.",
        ),
        # Private DNS names of an endpoint: EC2 ties the VPC to a zone of AWS's own. Without the
        # region's condition, since Route 53 is in none.
        allow(
            ["route53:AssociateVPCWithHostedZone"],
            ["arn:aws:route53:::hostedzone/*"],
            why="The zones of endpoints are AWS's own; their ids are not known.",
        ),
    ]
