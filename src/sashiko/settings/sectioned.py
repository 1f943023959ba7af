"""Settings records that packs add sections to."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, TypeVar

from pydantic import BaseModel, create_model

from sashiko.base.yaml_models import Frozen
from sashiko.errors import InputError
from sashiko.packs import Pack, SectionKind, load_object, other_packs, pack_sections

M = TypeVar("M", bound="Sectioned")
S = TypeVar("S", bound=BaseModel)


class Sectioned(Frozen):
    """Settings that packs add sections to."""

    def section(self, kind: type[S]) -> S:
        """Returns the section of a pack that is on.

        LookupError if no pack that is on has such a section.
        """
        for value in self.__dict__.values():
            if isinstance(value, kind):
                return value
        raise LookupError(f"no pack that is on has a section {kind.__name__}")


def with_sections(model: type[M], packs: Sequence[Pack], *, kind: SectionKind) -> type[M]:
    """Returns the model with the sections of packs as fields.

    InputError if two packs have the same section, or a pack has one of the core's.
    """
    return _model(model, tuple(pack_sections(packs, kind).items()), kind)


@cache  # settings that are read twice are equal, which takes one class
def _model(model: type[M], sections: tuple[tuple[str, str], ...], kind: SectionKind) -> type[M]:
    fields: dict[str, Any] = {}
    for key, name in sections:
        if key in model.model_fields:
            raise InputError(f"a pack has the {kind}'s section `{key}`, which is the core's")
        part = load_object(name)
        fields[key] = (part, part() if kind == "recipe" else ...)
    made: type[M] = create_model(
        model.__name__,
        __base__=model,
        __module__=model.__module__,
        __doc__=model.__doc__ or "",
        **fields,
    )
    return made


def check_sections(
    value: Mapping[str, Any], packs: Sequence[Pack], *, kind: SectionKind, source: str
) -> None:
    """Refuses the section of a pack that is off; `source` is the file, for errors.

    InputError with the key, the pack and the fix.
    """
    on = pack_sections(packs, kind)
    for pack in other_packs(packs):
        for key in pack_sections([pack], kind):
            if key in value and key not in on:
                raise InputError(
                    f"{source}: key `{key}` belongs to the pack `{pack.name}`, which is off: add "
                    "it to `packs` in config/base.yaml, or remove the key"
                )
