"""The section `network` of an environment's settings: a VPC of ours, or one that exists already."""

from collections.abc import Mapping
from ipaddress import IPv4Network
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from sashiko.base.yaml_models import Frozen

ZoneLetter = Literal["a", "b", "c", "d", "e", "f"]


class ExistingSubnet(Frozen):
    """A subnet that the environment does not make.

    Attributes:
        id: its id.
        zone: its availability zone, as this account names it, such as `us-east-1a`.
        route_table: the id of its route table, where `endpoints: ours` adds the route to S3.
    """

    id: str = Field(pattern=r"^subnet-[0-9a-f]{8,17}$")
    zone: str = Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d[a-f]$")
    route_table: Annotated[str, Field(pattern=r"^rtb-[0-9a-f]{8,17}$")] | None = None


# A name stands for itself and all names below it, without a dot before it: urllib, which botocore
# asks, and requests, which pip and MLflow use, read it alike so (`proxy_bypass_environment`,
# `should_bypass_proxies`). Neither of them reads `*`.
_HOST: Final = r"^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$"


class ProxySection(Frozen):
    """The HTTP proxy of the jobs that call AWS.

    Attributes:
        url: its address with the port, such as `http://proxy.example.com:3128`, without a password.
        bypass: hosts that jobs reach without it, with all hosts below them; S3, the hosts of
            endpoints of ours and this machine's own addresses are among them already.
    """

    url: str = Field(pattern=r"^https?://[A-Za-z0-9][A-Za-z0-9.-]*:[1-9]\d{0,4}$")
    bypass: tuple[Annotated[str, Field(pattern=_HOST)], ...] = ()

    @property
    def port(self) -> int:
        """The port of its address."""
        return int(self.url.rpartition(":")[2])


# Where a job finds its credentials ("IAM roles for tasks", Amazon ECS Developer Guide), the
# instance's metadata, and a server of its own.
_OWN_ADDRESSES: Final = ("169.254.170.2", "169.254.169.254", "localhost", "127.0.0.1")
# It refuses octets above 255, and bits of a host.
_Network = AfterValidator(lambda cidr: str(IPv4Network(cidr)))
_Cidr = Annotated[str, Field(pattern=r"^\d{1,3}(\.\d{1,3}){3}/([89]|[12]\d|3[0-2])$"), _Network]
_OWN_KEYS: Final = ("cidr", "zones")
_EXISTING_KEYS: Final = ("owner", "subnets", "endpoints", "security_groups", "egress", "proxy")


class NetworkSection(Frozen):
    """The VPC of the jobs: one of ours without internet access, or with `vpc_id` an existing one.

    Attributes:
        cidr: the addresses of a VPC of ours.
        zones: the letters of the availability zones with a subnet of ours. An account may lack some
            letters of a region: `aws ec2 describe-availability-zones` lists those that it has.
        s3_prefix_lists: region -> id of AWS's prefix list of S3, the only addresses that jobs may
            reach. AWS has one per region, and CloudFormation cannot look it up.
        mlflow_service: the endpoint service by which Track reaches the MLflow App, with a
            placeholder `{region}`; null creates no endpoint and tracks no runs. AWS documents no
            endpoint service for Apps.
        vpc_id: the existing VPC of `subnets`; null makes one.
        owner: the account that shares the subnets with this one; null if they are its own.
        subnets: the existing subnets of jobs and endpoint containers.
        endpoints: whose the VPC endpoints are that jobs call AWS by: `ours` are made in the VPC,
            each for its callers alone; `theirs` are there, in the VPC or behind it.
        security_groups: the existing groups of jobs and endpoint containers; without any, one is
            made in the VPC.
        egress: the addresses that our group lets jobs reach: those of endpoints that are theirs,
            and of the proxy.
        proxy: the HTTP proxy that jobs have to use; null for none.
    """

    cidr: (
        Annotated[str, Field(pattern=r"^\d{1,3}(\.\d{1,3}){3}/(1[6-9]|2[01])$"), _Network] | None
    ) = "10.0.0.0/16"
    zones: Annotated[tuple[ZoneLetter, ...], Field(min_length=1)] | None = ("a", "b")
    s3_prefix_lists: dict[str, Annotated[str, Field(pattern=r"^pl-[0-9a-f]+$")]]
    mlflow_service: Annotated[str, Field(pattern=r"^[a-z0-9.-]+\{region\}[a-z0-9.-]+$")] | None
    vpc_id: Annotated[str, Field(pattern=r"^vpc-[0-9a-f]{8,17}$")] | None = None
    owner: Annotated[str, Field(pattern=r"^\d{12}$")] | None = None
    # VpcConfig of SageMaker's API holds 16 subnets and 5 groups.
    subnets: Annotated[tuple[ExistingSubnet, ...], Field(max_length=16)] = ()
    endpoints: Literal["ours", "theirs"] = "ours"
    security_groups: Annotated[
        tuple[Annotated[str, Field(pattern=r"^sg-[0-9a-f]{8,17}$")], ...], Field(max_length=5)
    ] = ()
    egress: tuple[_Cidr, ...] = ()
    proxy: ProxySection | None = None

    @model_validator(mode="before")
    @classmethod
    def _check_own_keys(cls, value: Any) -> Any:
        if not isinstance(value, Mapping) or value.get("vpc_id") is None:
            return value
        if keys := [key for key in _OWN_KEYS if value.get(key) is not None]:
            raise ValueError(
                f"`{keys[0]}` is of a network of ours, and `vpc_id` names an existing one: "
                "remove one of them, or set it to null"
            )
        return {**value, **dict.fromkeys(_OWN_KEYS)}

    @model_validator(mode="after")
    def _check_existing(self) -> Self:
        """Judges what depends on nothing else; `Settings` judges the zones."""
        defaults = {key: type(self).model_fields[key].default for key in _EXISTING_KEYS}
        keys = [key for key in _EXISTING_KEYS if getattr(self, key) != defaults[key]]
        ids = [*(self.zones or ()), *(one.id for one in self.subnets), *self.security_groups]
        twice = sorted({one for one in ids if ids.count(one) > 1})
        unrouted = [subnet.id for subnet in self.subnets if subnet.route_table is None]
        existing, ours = self.vpc_id is not None, self.endpoints == "ours"
        faults = {
            "a network of ours needs `cidr` and `zones`": not existing
            and None in (self.cidr, self.zones),
            f"`{(keys or ['-'])[0]}` is of an existing network: set `vpc_id` too": keys
            and not existing,
            "`vpc_id` needs `subnets: [{id: subnet-..., zone: us-east-1a}]`": existing
            and not self.subnets,
            f"{', '.join(twice)} is named twice": twice,
            # "Owners are responsible for ... gateway endpoints, interface endpoints"
            # ("Responsibilities and permissions for owners and participants", VPC User Guide).
            "`endpoints: ours` is not possible in subnets that another account shares (`owner`): a "
            "participant makes no endpoint; set `endpoints: theirs`": self.owner and ours,
            "`endpoints: ours` adds a route to S3: give each subnet its `route_table`, also "
            f"{', '.join(unrouted)}": existing and ours and unrouted,
            "`egress` is of a group of ours: remove it, or `security_groups`": self.egress
            and self.security_groups,
            "without `security_groups` a group of ours is made: its `egress` needs the addresses "
            "of their endpoints and of the proxy, such as `[10.0.0.0/8]`": existing
            and (self.proxy or not ours)
            and not (self.security_groups or self.egress),
        }
        for fault, applies in faults.items():
            if applies:
                raise ValueError(fault)
        return self

    def no_proxy(self, region: str) -> str:
        """Returns the value of `no_proxy`: the hosts that jobs reach without the proxy.

        S3 is among them, since its gateway endpoint is a route and not a host.
        """
        hosts = [*_OWN_ADDRESSES, f"s3.{region}.amazonaws.com", "s3.amazonaws.com"]
        if self.endpoints == "ours":
            hosts.append(f"{region}.amazonaws.com")  # what jobs call has an endpoint of ours
            if self.mlflow_service:
                hosts.append(f"sagemaker.{region}.app.aws")  # sagemaker-mlflow 0.5.0
        return ",".join([*hosts, *(self.proxy.bypass if self.proxy else ())])
