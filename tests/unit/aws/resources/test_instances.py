"""What instance types have, held against those that SageMaker's jobs know."""

from botocore.loaders import Loader

from sashiko.aws.resources.instances import LOCAL_DISK, has_local_disk


def test_each_family_with_disks_of_its_own_is_one_that_jobs_know() -> None:
    shapes = Loader().load_service_model("sagemaker", "service-2")["shapes"]
    known = {
        name.split(".")[1]
        for shape in ("ProcessingInstanceType", "TrainingInstanceType")
        for name in shapes[shape]["enum"]
    }
    assert set(LOCAL_DISK) - known == set()
    # EC2's letter for local disks; accelerators have them without it.
    assert {family for family in known if family.endswith(("d", "dn"))} <= {*LOCAL_DISK}


def test_a_type_is_known_by_its_family() -> None:
    assert has_local_disk("ml.g5.xlarge")
    assert not has_local_disk("ml.m5.large")
    assert not has_local_disk("ml.p3.2xlarge")
