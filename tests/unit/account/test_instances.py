"""What instance types have, held against those that SageMaker knows."""

import pytest

from sashiko.account.instances import (
    families_with_local_disk,
    has_local_disk,
    instance_map,
    size_of,
)
from sashiko.settings.types import instance_types

JOBS = instance_types("ProcessingInstanceType") | instance_types("TrainingInstanceType")
KNOWN = JOBS | instance_types("ProductionVariantInstanceType")


def test_every_family_that_jobs_know_is_recorded() -> None:
    """A volume key for a family that was forgotten fails a run in its first seconds."""
    families = {name.split(".")[1] for name in JOBS}
    assert families - instance_map().families.keys() == set()
    # EC2's letter for local disks; accelerators have them without it.
    letters = {family for family in families if family.endswith(("d", "dn"))}
    assert letters <= set(families_with_local_disk())


def test_a_family_whose_sizes_are_recorded_has_all_that_sagemaker_knows() -> None:
    for name, family in instance_map().families.items():
        known = {kind.split(".")[2] for kind in KNOWN if kind.split(".")[1] == name}
        assert known, name
        assert not family.sizes or family.sizes.keys() == known


def test_what_a_training_plan_can_reserve_is_recorded() -> None:
    ultra_server = {"ml.p6e-gb200.36xlarge"}  # one instance alone cannot be bought
    for kind in instance_types("ReservedCapacityInstanceType") - ultra_server:
        size = size_of(kind)
        assert size is not None
        assert size.efa


@pytest.mark.parametrize(
    ("kind", "disk", "vcpus", "accelerators", "efa"),
    [
        ("ml.g5.xlarge", True, 4, 1, False),
        ("ml.g6.8xlarge", True, 32, 1, True),
        ("ml.p5.48xlarge", True, 192, 8, True),
        ("ml.trn1.2xlarge", True, 8, 1, False),
        ("ml.inf2.48xlarge", False, 192, 12, False),
        ("ml.m5.large", False, 2, 0, False),
    ],
)
def test_a_type_is_known_by_family_and_size(
    kind: str, disk: bool, vcpus: int, accelerators: int, efa: bool
) -> None:
    size = size_of(kind)
    assert size is not None
    assert (size.vcpus, size.accelerators, size.efa) == (vcpus, accelerators, efa)
    assert has_local_disk(kind) == disk


def test_what_is_not_recorded_is_unknown() -> None:
    assert size_of("ml.t3.medium") is None
    assert size_of("ml.x99.large") is None
    assert not has_local_disk("ml.p3.2xlarge")
