"""The deployed pipeline, compared with this checkout."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from sashiko.account.account import Account
from sashiko.account.deploy_time import stand_ins
from sashiko.errors import InputError
from sashiko.pipeline.cloud.executions import NOT_FOUND, STARTED_BY
from sashiko.pipeline.definition.digest import OF_THE_COMMIT


def deployed_definition(account: Account, pipeline: str) -> Any:
    """Returns the definition of a pipeline in the account; None if there is none.

    Raises:
        InputError: if the caller lacks the permission, or the definition is not JSON.
    """
    response = account.read(
        "sagemaker",
        "describe_pipeline",
        absent=NOT_FOUND,
        role=STARTED_BY,
        PipelineName=pipeline,
    )
    if response is None:
        return None
    try:
        return json.loads(response["PipelineDefinition"])
    except ValueError as error:
        raise InputError(f"the definition of pipeline {pipeline} is no JSON: {error}") from error


def difference(compiled: Any, deployed: Any) -> str:
    """Returns the path of the first difference of two definitions; "" if they are equal.

    A placeholder of a value that only CloudFormation knows equals any text. The commit does not
    count: an execution runs the deployed one.
    """
    return next(_differences(_without_commit(compiled), _without_commit(deployed), ""), "")


def texts(value: Any) -> Iterator[str]:
    """Yields every text in a definition."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)


def _without_commit(definition: Any) -> Any:
    parameters = [
        {key: value for key, value in item.items() if key != "DefaultValue"}
        if item["Name"] in OF_THE_COMMIT
        else item
        for item in definition.get("Parameters", ())
    ]
    return {**definition, "Parameters": parameters}


def _differences(compiled: Any, deployed: Any, path: str) -> Iterator[str]:
    if isinstance(compiled, Mapping) and isinstance(deployed, Mapping):
        for key in sorted({*compiled, *deployed}):
            if key not in compiled or key not in deployed:
                yield f"{path}.{key}"
            else:
                yield from _differences(compiled[key], deployed[key], f"{path}.{key}")
    elif isinstance(compiled, list) and isinstance(deployed, list):
        if len(compiled) != len(deployed):
            yield f"{path}: {len(compiled)} items here, {len(deployed)} there"
        for index, pair in enumerate(zip(compiled, deployed, strict=False)):
            name = pair[0].get("Name", index) if isinstance(pair[0], Mapping) else index
            yield from _differences(*pair, f"{path}[{name}]")
    elif not _equal(compiled, deployed):
        yield path


def _equal(compiled: Any, deployed: Any) -> bool:
    if isinstance(compiled, str) and isinstance(deployed, str) and (names := stand_ins(compiled)):
        pattern = re.escape(compiled)
        for name in sorted(names, key=len, reverse=True):
            pattern = pattern.replace(re.escape(name), ".+")
        return re.fullmatch(pattern, deployed) is not None
    return bool(compiled == deployed)
