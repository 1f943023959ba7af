"""`sashiko env doctor` of an account in the emulator: ready, and with one obstacle."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jmespath
import pytest

from sashiko.account.account import Account
from sashiko.account.names import bootstrap_policy_arn, exec_role_arn
from sashiko.doctor.existing_network import called_services, check_network
from sashiko.errors import InputError
from sashiko.settings.network_section import NetworkSection
from verification.deploy.assembly import synthesize
from verification.deploy.governed import Governed, Undo
from verification.deploy.process import ROOT, Emulator, running
from verification.deploy.test_network_life import their_network

ACCOUNT = "111122223333"
VERSION = "/cdk-bootstrap/sashiko/version"
EVERYBODY = {"DataLakePrincipalIdentifier": "IAM_ALLOWED_PRINCIPALS"}


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with (
        running(ACCOUNT, tmp_path_factory.mktemp("home")) as instance,
        pytest.MonkeyPatch.context() as patch,
    ):
        for name, value in instance.environment().items():
            patch.setenv(name, value)
        yield instance


@pytest.fixture(scope="module")
def owner(emulator: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Governed:
    """An environment that deploys the account's stack."""
    folder = synthesize(tmp_path_factory.mktemp("dev"), "dev")
    return Governed(emulator=emulator, variant="dev", folder=folder)


@pytest.fixture(scope="module")
def guest(emulator: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Governed:
    """An environment whose account another one sets up."""
    folder = synthesize(tmp_path_factory.mktemp("account_off"), "account_off")
    return Governed(emulator=emulator, variant="account_off", folder=folder)


@pytest.fixture
def account(guest: Governed, owner: Governed) -> Governed:
    """A guest's account before the first deploy: bootstrapped, its role an administrator, tags."""
    _put_version(guest, "21")
    role = exec_role_arn(guest.environment.settings)
    make_role(guest, role.rpartition("/")[2])
    _put_cap(guest)
    guest.put_settings(
        DataLakeAdmins=[{"DataLakePrincipalIdentifier": role}],
        CreateDatabaseDefaultPermissions=[],
        CreateTableDefaultPermissions=[],
    )
    existing = {tag["TagKey"] for tag in guest.formation.list_lf_tags()["LFTags"]}
    for key, values in owner.environment.governance.tags.items():
        if key in existing:
            guest.formation.update_lf_tag(TagKey=key, TagValuesToAdd=sorted(values))
        else:
            guest.formation.create_lf_tag(TagKey=key, TagValues=sorted(values))
    return guest


def _put_version(account: Governed, value: str) -> None:
    ssm = account.emulator.client("ssm")
    ssm.put_parameter(Name=VERSION, Value=value, Type="String", Overwrite=True)


def _put_cap(account: Governed) -> None:
    """Gives CloudFormation's role the boundary of `make bootstrap`."""
    from sashiko_cdk.bootstrap.policies import execution_cap

    iam, settings = account.emulator.client("iam"), account.environment.settings
    cap = bootstrap_policy_arn(settings, "cap")
    if cap not in {item["Arn"] for item in iam.list_policies(Scope="Local")["Policies"]}:
        statements = [item.to_statement_json() for item in execution_cap(settings)]
        document = json.dumps({"Version": "2012-10-17", "Statement": statements})
        iam.create_policy(PolicyName=cap.rpartition("/")[2], PolicyDocument=document)
    name = exec_role_arn(settings).rpartition("/")[2]
    iam.put_role_permissions_boundary(RoleName=name, PermissionsBoundary=cap)


def test_a_ready_account_passes_and_prints_its_administrators(account: Governed) -> None:
    assert account.failed() == []
    (admins,) = [item for item in account.checks() if item.name == "data-lake administrators"]
    assert exec_role_arn(account.environment.settings) in admins.detail


def _no_bootstrap(account: Governed) -> None:
    account.emulator.client("ssm").delete_parameter(Name=VERSION)


def _no_administrator(account: Governed) -> None:
    account.put_settings(DataLakeAdmins=[])


def _deleted_administrator(account: Governed) -> None:
    delete = make_role(account, "role-to-go")
    arns = (exec_role_arn(account.environment.settings), f"arn:aws:iam::{ACCOUNT}:role/role-to-go")
    account.put_settings(DataLakeAdmins=[{"DataLakePrincipalIdentifier": arn} for arn in arns])
    delete()


def _deploying_role_deleted(account: Governed) -> None:
    """The state after `delete-stack CDKToolkit-sashiko`: pitfall L3."""
    name = exec_role_arn(account.environment.settings).rpartition("/")[2]
    account.emulator.client("iam").delete_role(RoleName=name)


def _defaults_open(account: Governed) -> None:
    open_grant = {"Principal": EVERYBODY, "Permissions": ["ALL"]}
    account.put_settings(CreateDatabaseDefaultPermissions=[open_grant])


def _value_gone(account: Governed) -> None:
    account.formation.update_lf_tag(TagKey="sashiko-sensitivity", TagValuesToDelete=["pii"])


@pytest.mark.parametrize(
    ("trouble", "name", "detail", "fix"),
    [
        (_no_bootstrap, "CDK bootstrap", f"no {VERSION}", "make bootstrap ENV=dev"),
        (lambda account: _put_version(account, "5"),
         "CDK bootstrap", "version 5, 6 is needed", "make bootstrap ENV=dev"),
        (_no_administrator, "CloudFormation's role", "cfn-exec-role", "put-data-lake-settings"),
        (_deleted_administrator,
         "administrators that are gone", "role/role-to-go", "put-data-lake-"),
        (_deploying_role_deleted,
         "administrators that are gone", "cfn-exec-role", "put-data-lake-settings"),
        (_defaults_open, "default permissions", "IAM_ALLOWED_PRINCIPALS", "put-data-lake-"),
        (lambda account: account.formation.delete_lf_tag(TagKey="sashiko-environment"),
         "LF-Tag sashiko-environment", "lacks dev", "create-lf-tag"),
        (_value_gone, "LF-Tag sashiko-sensitivity", "lacks pii", "--tag-values-to-add pii"),
    ],
)  # fmt: skip
def test_one_thing_that_is_wrong_fails_with_its_fix(
    account: Governed, trouble: Callable[[Governed], None], name: str, detail: str, fix: str
) -> None:
    trouble(account)
    (failure,) = account.failed()
    assert failure.name.startswith(name)
    assert detail in failure.detail
    assert fix in failure.fix
    if failure.fix.startswith("aws"):
        account.run(failure.fix)
        assert failure.name not in {check.name for check in account.failed()}


def test_the_guide_drops_the_deploying_role_and_no_other_administrator(account: Governed) -> None:
    """Before the bootstrap is deleted: afterwards the role would linger as an administrator."""
    guide = (ROOT / "docs/first-deploy.md").read_text()
    (query,) = re.findall(r"--query '(DataLakeSettings \| merge\(@, {DataLakeAdmins[^']*)'", guide)
    make_role(account, "other")
    other = {"DataLakePrincipalIdentifier": f"arn:aws:iam::{ACCOUNT}:role/other"}
    deploying = {"DataLakePrincipalIdentifier": exec_role_arn(account.environment.settings)}
    account.put_settings(DataLakeAdmins=[deploying, other])
    response = account.formation.get_data_lake_settings()

    settings = jmespath.search(query, response)

    assert settings == response["DataLakeSettings"] | {"DataLakeAdmins": [other]}


def make_role(account: Governed, name: str) -> Undo:
    iam = account.emulator.client("iam")
    if name not in {role["RoleName"] for role in iam.list_roles()["Roles"]}:
        iam.create_role(RoleName=name, AssumeRolePolicyDocument="{}")
    return lambda: iam.delete_role(RoleName=name)


@pytest.mark.parametrize("trouble", [_no_administrator, _defaults_open])
def test_what_the_account_stack_makes_fails_no_check_where_it_is_deployed(
    account: Governed, owner: Governed, trouble: Callable[[Governed], None]
) -> None:
    for tag in account.formation.list_lf_tags()["LFTags"]:
        account.formation.delete_lf_tag(TagKey=tag["TagKey"])
    trouble(account)
    assert owner.failed() == []


def test_no_credentials_and_no_connection_are_one_message(
    account: Governed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(InputError, match="cannot be reached"):
        Account(account.environment.settings).check_identity()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    with pytest.raises(InputError, match="no AWS credentials"):
        Account(account.environment.settings).check_identity()


@pytest.fixture(scope="module")
def repository(owner: Governed) -> Path:
    """The environment's folder, with the files of a run beside its templates."""
    owner.put_repository()
    return owner.folder


def test_the_command_prints_the_fix_and_exits_with_4(account: Governed, repository: Path) -> None:
    _no_bootstrap(account)
    output = account.emulator.sashiko("env", "doctor", "--env", "dev", folder=repository, status=4)
    assert "fix: make bootstrap ENV=dev" in output


@pytest.mark.slow
def test_before_the_first_deploy_the_rest_of_the_guide_is_later(
    account: Governed, repository: Path
) -> None:
    output = account.emulator.sashiko(
        "env", "doctor", "--env", "dev", "--json", folder=repository, status=None
    )
    checks = {item["name"]: item for item in json.loads(output[output.index("[\n") :])}
    assert checks["CDK command line"]["status"] == "ok"
    later = [item for item in checks.values() if item["status"] == "later"]
    for name in ("MLflow App sashiko-dev", "data of complaints", "weights"):
        assert checks[name] in later
    assert any(item["name"].startswith("image sashiko-dev/job") for item in later)
    assert all("make deploy ENV=dev" in item["fix"] for item in later)
    assert checks["alerts"]["status"] == "note"
    # The emulator has no quotas, so their check is unknown, not ok.
    assert checks["quotas"]["status"] == "unknown"


def test_a_network_of_theirs_passes_and_each_gap_in_it_is_seen(
    emulator: Emulator, owner: Governed
) -> None:
    ec2, network = emulator.client("ec2"), their_network(emulator)
    vpc, subnets = network["vpc_id"], [one["id"] for one in network["subnets"]]
    tables = [one["route_table"] for one in network["subnets"]]
    ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsHostnames={"Value": True})
    jobs, doors = (
        ec2.create_security_group(GroupName=name, Description="d", VpcId=vpc)["GroupId"]
        for name in ("jobs", "doors")
    )
    lists = ec2.create_managed_prefix_list(
        PrefixListName="vpc", MaxEntries=1, AddressFamily="IPv4", Entries=[{"Cidr": "10.9.0.0/16"}]
    )
    https = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443}
    inside = {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": jobs}]}
    from_jobs, to_doors = ({**https, "UserIdGroupPairs": [{"GroupId": g}]} for g in (jobs, doors))
    all_of, to_s3 = (
        {**https, "PrefixListIds": [{"PrefixListId": name}]}
        for name in (lists["PrefixList"]["PrefixListId"], "pl-63a5400a")
    )
    first = {**https, "IpRanges": [{"CidrIp": "10.9.0.0/24"}]}  # the first subnet
    everywhere = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}

    def change(way: str, group: str, revoked: dict[str, Any], *added: dict[str, Any]) -> None:
        kind = f"security_group_{way}"
        getattr(ec2, f"revoke_{kind}")(GroupId=group, IpPermissions=[revoked])
        getattr(ec2, f"authorize_{kind}")(GroupId=group, IpPermissions=[*added])

    change("egress", jobs, everywhere, inside, to_doors, to_s3)
    ec2.authorize_security_group_ingress(GroupId=jobs, IpPermissions=[inside])
    ec2.authorize_security_group_ingress(GroupId=doors, IpPermissions=[from_jobs])
    ids = {}
    for name in called_services(owner.environment):
        place = {"SubnetIds": subnets[:1], "SecurityGroupIds": [doors]}
        gateway = name.endswith(".s3")
        made = ec2.create_vpc_endpoint(
            VpcId=vpc, ServiceName=name, VpcEndpointType="Gateway" if gateway else "Interface",
            **({"RouteTableIds": tables} if gateway else place),
        )  # fmt: skip
        ids[name] = made["VpcEndpoint"]["VpcEndpointId"]
    s3, interfaces = "com.amazonaws.us-east-1.s3", {name for name in ids if name[-3:] != ".s3"}
    base, keys = owner.environment.settings, {"endpoints": "theirs", "security_groups": [jobs]}
    kept = base.network.model_dump(include={"s3_prefix_lists", "mlflow_service"})
    section = NetworkSection.model_validate(kept | network | keys)
    settings = base.model_copy(update={"network": section})

    def named(status: str) -> set[str]:
        checks = check_network(Account(settings), settings, owner.environment)
        return {check.name for check in checks if check.status == status}

    assert [named(status) for status in ("failed", "unknown", "note")] == [set()] * 3
    change("ingress", doors, from_jobs, first)
    assert named("failed") == interfaces
    change("ingress", doors, first, all_of)
    change("egress", jobs, to_doors, first)
    assert named("failed") == set()
    ec2.modify_vpc_endpoint(VpcEndpointId=ids[min(interfaces)], AddSubnetIds=subnets[1:])
    assert named("failed") == {min(interfaces)}
    # Without S3's endpoint a transit gateway may lead there, while there is one.
    ec2.delete_vpc_endpoints(VpcEndpointIds=[ids[s3]])
    hub = ec2.create_transit_gateway()["TransitGateway"]["TransitGatewayId"]
    far = {"DestinationCidrBlock": "10.0.0.0/8", "TransitGatewayId": hub}
    assert [ec2.create_route(RouteTableId=table, **far)["Return"] for table in tables]
    routes = {f"routes of {subnet}" for subnet in subnets}
    assert named("unknown") == routes
    ec2.delete_transit_gateway(TransitGatewayId=hub)
    assert named("failed") == {min(interfaces)} | routes
