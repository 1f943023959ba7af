"""What Register requires of the model that a version was trained from."""

from collections.abc import Collection

from sashiko.errors import InputError
from sashiko.serving.compile_lock import CompileLock
from sashiko.settings.recipe import ModelSection


def check_base_model(model: ModelSection, lock: CompileLock, *, licences: Collection[str]) -> None:
    """Checks licence and digests of the pre-trained model.

    Args:
        model: the recipe's section.
        lock: the artifact's compile lock.
        licences: the SPDX identifiers that the environment allows.

    Raises:
        InputError: if the recipe names no licence, or one that is not allowed; or if a causal LM
            was merged with another base model than the recipe's.
    """
    if model.licence is None:
        raise InputError(
            f"recipe key model.licence is missing: read the licence of {model.name}'s weights and "
            "name it by its SPDX identifier, such as Apache-2.0"
        )
    if model.licence not in licences:
        raise InputError(
            f"recipe key model.licence: {model.licence} is not a licence that this environment "
            f"allows ({', '.join(licences)}): choose another model, or add it to `licences` in "
            "config/<env>.yaml"
        )
    if (lock.causal is not None) != (model.family == "causal"):
        raise InputError(
            f"recipe key model.family is {model.family}, and the compile lock is of the other "
            "family: run the pipeline again from Train"
        )
    if lock.causal and lock.causal.base != model.files:
        raise InputError(
            f"the artifact was merged with another base model than recipe key model.files names "
            f"for {model.name}: run the pipeline again from Train"
        )
