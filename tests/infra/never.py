"""What must never be, as questions to an environment's templates: each returns who breaks it."""

from collections.abc import Iterator, Mapping

from sashiko.account.access.environment_access import (
    Environment,
    duties,
    object_access,
    permission_matrix,
)
from sashiko.account.access.policy_evaluation import statements
from sashiko.account.names import bucket_name

# Table and column -> what the contract, and no template, says of it.
Classes = Mapping[tuple[str, str], str]
# IAM that lets a role use any grant, and read no object.
ANYTHING = statements(
    {"Statement": {"Effect": "Allow", "Action": "*", "NotResource": "arn:aws:s3:::*"}}
)
# Whoever moves or owns the files; everybody else works with models.
OUTSIDE_ML = {"break-glass", "etl", "lake-formation"}
# It reads what was answered, and judges no person: what it hands on are aggregates.
MONITORING = {"monitor"}


def readers(environment: Environment, classes: Classes, sensitivity: str) -> set[str]:
    """Who reads a column of a sensitivity, some of its rows or all, by whatever way."""
    assert sensitivity in classes.values(), f"no column is {sensitivity}: nothing was checked"
    return {
        cell.principal
        for cell in permission_matrix(environment, environment)
        if cell.access != "denied" and classes.get((cell.table, cell.column)) == sensitivity
    }


def ml_reading_pii(environment: Environment, classes: Classes) -> set[str]:
    return readers(environment, classes, "pii") - OUTSIDE_ML - MONITORING


def others_reading_sensitive(environment: Environment, classes: Classes) -> set[str]:
    return readers(environment, classes, "sensitive") - OUTSIDE_ML - {"bias-evaluator"}


def ways_of_training_to_the_lake(environment: Environment) -> set[str]:
    """By a grant, by objects, or by acting as somebody else."""
    return set(_ways_of_training(environment))


def _ways_of_training(environment: Environment) -> Iterator[str]:
    for cell in permission_matrix(environment, environment):
        if cell.principal == "training" and cell.access != "denied":
            yield f"{cell.table}.{cell.column}"
    lake = {bucket_name(environment.settings, name) for name in ("raw", "curated")}
    for item in object_access(environment):
        if item.principal == "training" and item.bucket in lake:
            yield item.bucket
    roles = duties(environment)
    for role, other in (*roles.assumes, *roles.passes):
        if role == "training":
            yield other


def registering_and_approving(environment: Environment) -> set[str]:
    roles = duties(environment)
    return set(roles.registers) & set(roles.approves)


def reading_elsewhere(readers: Environment, lake: Environment) -> set[str]:
    """Who of one environment reads a column of another one's lake, in the same account."""
    return {cell.principal for cell in permission_matrix(readers, lake) if cell.access != "denied"}
