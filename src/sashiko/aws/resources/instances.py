"""Properties of instance types that a job request depends on."""

# Families with local NVMe, which the machine itself encrypts: SageMaker stores a job's data there
# and refuses a volume key. The list holds the supported families that EC2's documentation has
# under "instance store volumes".
LOCAL_DISK = (
    "g4dn", "g5", "g6", "g6e", "g7", "g7e", "p3dn", "p4d", "p4de", "p5", "p5e", "p5en", "p6-b200",
    "p6-b300", "p6e-gb200", "r5d", "trn1", "trn1n", "trn2",
)  # fmt: skip


def has_local_disk(instance_type: str) -> bool:
    """Says whether an instance type, such as `ml.g5.xlarge`, has instance store volumes."""
    return instance_type.split(".")[1] in LOCAL_DISK
