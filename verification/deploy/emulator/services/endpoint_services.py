"""The endpoint services of a region: moto's list lacks one that EC2 has."""

from moto.ec2.models.vpcs import VPCBackend

_NAME = "aws.sagemaker.{region}.experiments"


def install() -> None:
    """Adds the missing service to a region's list."""
    list_services = VPCBackend._collect_default_endpoint_services

    def with_ours(account: str, region: str) -> list[dict[str, str]]:
        services = list_services(account, region)
        name = _NAME.format(region=region)
        if name not in {item["ServiceName"] for item in services}:
            template = next(
                item for item in services if item["ServiceName"].endswith(".sagemaker.api")
            )
            services.append({**template, "ServiceName": name})
        return services

    VPCBackend._collect_default_endpoint_services = staticmethod(with_ours)
