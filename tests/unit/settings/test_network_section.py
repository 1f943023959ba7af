"""The network of an environment: ours, or an existing one; what fits neither is named."""

import shutil
from pathlib import Path

import pytest
import yaml

from sashiko.errors import InputError
from sashiko.settings.environment import load_settings
from tests.infra.variants import EXISTING, SHARED

ROOT = Path.cwd()
TABLE, TABLE_B = "rtb-0123456789abcdef1", "rtb-0123456789abcdef3"


def load(folder, text, *, tier="dev", **changes):
    """Reads settings whose section `network` has other keys; those of None are left out."""
    network = yaml.safe_load(text)["network"] | changes
    network = {key: value for key, value in network.items() if value is not None}
    shutil.copy(ROOT / "config/base.yaml", folder)
    document = {"tier": tier, "account": "111122223333", "network": network}
    if tier == "prod":
        document["serving"] = {"min_instances": 2, "max_instances": 4}
    (folder / "dev.yaml").write_text(yaml.safe_dump(document))
    return load_settings("dev", folder=folder)


def subnets(*items):
    names = ("id", "zone", "route_table")
    return [dict(zip(names, item, strict=False)) for item in items]


A = ("subnet-0123456789abcdef1", "us-east-1a", TABLE)
B = ("subnet-0123456789abcdef3", "us-east-1b", TABLE_B)


def test_both_ways_are_read_and_say_their_zones(tmp_path):
    existing = load(tmp_path, EXISTING, tier="prod")
    assert existing.zone_names == ("us-east-1a", "us-east-1b")
    assert load(tmp_path, SHARED).network.proxy.port == 3128
    assert load(tmp_path, "network: {}").zone_names == ("us-east-1a", "us-east-1b")


@pytest.mark.parametrize(
    ("text", "changes", "named"),
    [
        (EXISTING, {"vpc_id": "subnet-0123456789abcdef1"}, "`network.vpc_id`"),
        (
            EXISTING,
            {"subnets": subnets(("sg-0123456789abcdef1", *A[1:]))},
            "`network.subnets.0.id`",
        ),
        (EXISTING, {"subnets": subnets((*A[:2], "acl-0123456789"))}, "subnets.0.route_table`"),
        (EXISTING, {"subnets": subnets((A[0], "a", TABLE))}, "subnets.0.zone`"),
        (SHARED, {"security_groups": ["vpc-0123456789abcdef1"]}, "security_groups.0`"),
        (SHARED, {"security_groups": [f"sg-0123456{n}" for n in range(6)]}, "security_groups`"),
        (SHARED, {"subnets": subnets(*[(f"subnet-012345{n}", A[1]) for n in range(10, 27)])}, "16"),
        (EXISTING, {"subnets": subnets(A, A)}, "subnet-0123456789abcdef1 is named twice"),
        (SHARED, {"security_groups": ["sg-01234567", "sg-01234567"]}, "sg-01234567 is named twice"),
        (EXISTING, {"subnets": None}, "`vpc_id` needs `subnets:"),
        (EXISTING, {"vpc_id": None}, "`subnets` is of an existing network: set `vpc_id`"),
        ("network: {endpoints: theirs}", {}, "`endpoints` is of an existing network"),
        (EXISTING, {"cidr": "10.1.0.0/16"}, "`cidr` is of a network of ours"),
        (EXISTING, {"zones": ["a", "b"]}, "`zones` is of a network of ours"),
        (EXISTING, {"owner": "777788889999"}, "`endpoints: ours` is not possible in subnets that"),
        (EXISTING, {"subnets": subnets(A, B[:2])}, f"its `route_table`, also {B[0]}"),
        (EXISTING, {"endpoints": "theirs"}, "its `egress` needs the addresses"),
        (EXISTING, {"proxy": {"url": "http://proxy:3128"}}, "its `egress` needs the addresses"),
        (SHARED, {"egress": ["10.0.0.0/8"]}, "`egress` is of a group of ours"),
        (EXISTING, {"egress": ["0.0.0.0/0"]}, "`network.egress.0`"),
        (EXISTING, {"egress": ["999.1.1.1/8"]}, "egress.0`: Octet 999 (> 255) not permitted in"),
        (EXISTING, {"egress": ["10.1.0.0/8"]}, "egress.0`: 10.1.0.0/8 has host bits set"),
        ("network: {cidr: 10.300.0.0/16}", {}, "cidr`: Octet 300 (> 255) not permitted in"),
        ("network: {zones: [a, b, a]}", {}, "a is named twice"),
        (
            EXISTING,
            {"subnets": subnets(A, (B[0], "eu-west-1b", TABLE))},
            "eu-west-1b is no zone of",
        ),
        (SHARED, {"proxy": {"url": "http://me:word@proxy:3128"}}, "`network.proxy.url`"),
        (SHARED, {"proxy": {"url": "http://proxy:1", "bypass": ["*.example.com"]}}, "bypass.0`"),
    ],
)
def test_what_fits_neither_way_is_named(tmp_path, text, changes, named):
    with pytest.raises(InputError, match=r"dev\.yaml: key `network") as error:
        load(tmp_path, text, **changes)
    assert named in str(error.value)


def test_tier_prod_needs_two_zones(tmp_path):
    one = {"subnets": subnets(A, ("subnet-0123456789abcdef2", *A[1:]))}
    assert load(tmp_path, EXISTING, **one).zone_names == ("us-east-1a",)
    with pytest.raises(InputError, match="tier `prod` needs two zones"):
        load(tmp_path, EXISTING, tier="prod", **one)
