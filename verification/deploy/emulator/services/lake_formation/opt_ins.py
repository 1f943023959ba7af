"""Opt-ins of hybrid mode, which moto lacks; CloudFormation has no type for them."""

from typing import Any

from ..json_api import Handler, ServiceError


class OptIns:
    """The opt-ins of principals to Lake Formation's permissions, in one region."""

    def __init__(self) -> None:
        self._made: list[dict[str, Any]] = []
        self.operations: dict[str, Handler] = {
            "CreateLakeFormationOptIn": self._made.append,
            "DeleteLakeFormationOptIn": self._delete,
            "ListLakeFormationOptIns": lambda _: {"LakeFormationOptInsInfoList": self._made},
        }

    def _delete(self, request: dict[str, Any]) -> None:
        if request not in self._made:
            raise ServiceError("EntityNotFoundException", f"no opt-in {request}")
        self._made.remove(request)
