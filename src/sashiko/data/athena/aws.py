"""Clients of the services that a snapshot calls, and fixes for their errors."""

from functools import partial

from sashiko.base import aws_calls as calls

_COMPARE = "compare `sashiko permissions` with `sashiko audit`, and ask the lake's owner"
_ADVICE: calls.Advice = (
    (
        ("static equality conditions",),
        "the table asks for a value of another partition key than `as_of`; "
        "deploy the DataLake stack again, which makes the table from the contract",
    ),
    (
        ("COLUMN_NOT_FOUND",),
        f"the table lacks the column, or Lake Formation does not grant it to this role; {_COMPARE}",
    ),
    (("Lake Formation", "LAKE_FORMATION"), f"this role lacks a grant; {_COMPARE}"),
    (
        ("TABLE_NOT_FOUND", "SCHEMA_NOT_FOUND", "EntityNotFound", "is not found"),
        "correct `LakeUri`, or deploy the DataLake and Governance stacks: a role does not see "
        "what it is not granted",
    ),
    (("Bytes scanned limit",), "the workgroup allows a query fewer bytes; raise its limit"),
    (("exhausted resources",), "Athena was short of resources; start the run again"),
    (
        ("HIVE_BAD_DATA", "HIVE_PARTITION_SCHEMA_MISMATCH", "Unsupported Trino column type"),
        "the table's files do not have the types of its columns; run the ETL job again, and start "
        "the run with its new `AsOf`",
    ),
)

connect = partial(calls.connect, "the lake", "athena", "glue", "s3")
translate_errors = partial(calls.translate_errors, advice=_ADVICE)
with_advice = partial(calls.with_advice, advice=_ADVICE)
