"""The endpoint services of a region: moto's list lacks one that EC2 has."""

from moto.ec2.models.vpcs import VPCBackend

_NAME = "aws.sagemaker.{region}.experiments"


def install() -> None:
    """Adds to what a region lists."""
    listed = VPCBackend._collect_default_endpoint_services

    def with_ours(account: str, region: str) -> list[dict[str, str]]:
        found = listed(account, region)
        name = _NAME.format(region=region)
        if name not in {item["ServiceName"] for item in found}:
            like = next(item for item in found if item["ServiceName"].endswith(".sagemaker.api"))
            found.append({**like, "ServiceName": name})
        return found

    VPCBackend._collect_default_endpoint_services = staticmethod(with_ours)
