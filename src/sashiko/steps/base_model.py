"""What Register requires of the model that a version was trained from."""

from collections.abc import Collection

from sashiko.errors import InputError
from sashiko.serving.compile_lock import CompileLock
from sashiko.settings.recipe_data import ModelSection


def check_licence(model: ModelSection, *, licences: Collection[str]) -> None:
    """Checks that a recipe names the licence of its pre-trained model, and that it is allowed.

    A linear model has none.

    Raises:
        InputError: if it names none, or none of `licences`, the SPDX identifiers that are allowed.
    """
    if not model.pretrained:
        return
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


def check_base_model(model: ModelSection, lock: CompileLock) -> None:
    """Checks that a causal LM was merged with the recipe's base model, and an encoder with none.

    Raises:
        InputError: if not.
    """
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
