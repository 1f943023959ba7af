"""A definition whose chains are the steps that they consist of: as it runs on this machine.

SageMaker starts a machine for each job, so one runs several steps there
(`sashiko.steps.job_parts`). Here each is a step of its own, with its own result, log and cache key.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from sashiko.base import chain_parts
from sashiko.errors import InputError
from sashiko.pipeline.definition.definition_records import Definition, Step
from sashiko.pipeline.definition.expressions import is_expression

_ENTRYPOINT = ["python3", "-m", chain_parts.MODULE]
_FOLDER = "/opt/ml/processing"
_INPUTS, _OUTPUTS = f"{_FOLDER}/input", f"{_FOLDER}/output"
_OUTPUT = "Steps.{}.ProcessingOutputConfig.Outputs['{}'].S3Output.S3Uri"


def unchain(definition: Definition) -> Definition:
    """Returns the definition with a step for each part of a chain.

    A part waits for what its chain depends on, and for what it reads itself. So it may run beside
    the parts before it.

    Raises:
        InputError: if a chain's arguments are not what `sashiko.steps.job_parts` takes, or a step
            refers to something else of a chain than an output; names the step.
    """
    chains = {step.name: tuple(_parts(step)) for step in definition.steps if _is_chain(step)}
    renamed = {
        _OUTPUT.format(name, f"{part.name}-{output}"): _OUTPUT.format(part.name, output)
        for name, parts in chains.items()
        for part in parts
        for output in _outputs(part)
    }

    def rename(value: Any, where: str) -> Any:
        if isinstance(value, list):
            return [rename(item, where) for item in value]
        if not isinstance(value, Mapping):
            return value
        target = value.get("Get") if is_expression(value) else None
        if not isinstance(target, str):
            return {key: rename(item, where) for key, item in value.items()}
        if target not in renamed and target.removeprefix("Steps.").partition(".")[0] in chains:
            raise InputError(f"{where}: `{target}`: of a chain only outputs can be used")
        return {"Get": renamed.get(target, target)}

    def names(step: str) -> tuple[str, ...]:
        return tuple(part.name for part in chains[step]) if step in chains else (step,)

    return replace(
        definition,
        steps=tuple(
            replace(
                item,
                arguments=rename(item.arguments, f"step `{step.name}`, Arguments"),
                depends_on=tuple(name for other in item.depends_on for name in names(other)),
            )
            for step in definition.steps
            for item in chains.get(step.name, (step,))
        ),
    )


def part_names(step: Step) -> tuple[str, ...]:
    """Returns the names of a chain's parts in their order; those of another step are none.

    Raises:
        InputError: as `unchain`.
    """
    return tuple(part.name for part in _parts(step)) if _is_chain(step) else ()


def _is_chain(step: Step) -> bool:
    app = step.arguments.get("AppSpecification")
    return isinstance(app, Mapping) and app.get("ContainerEntrypoint") == _ENTRYPOINT


def _outputs(step: Step) -> list[str]:
    return [item["OutputName"] for item in step.arguments["ProcessingOutputConfig"]["Outputs"]]


def _parts(step: Step) -> Iterator[Step]:
    where = f"step `{step.name}`, Arguments"
    try:
        app, config = (
            step.arguments[key] for key in ("AppSpecification", "ProcessingOutputConfig")
        )
        parts = chain_parts.read_parts(app["ContainerArguments"])
        inputs = step.arguments.get("ProcessingInputs", [])
        places = {item["S3Input"]["LocalPath"]: item["S3Input"]["S3Uri"] for item in inputs}
        outputs: dict[str, list[Mapping[str, Any]]] = {}
        for part in parts:
            folder = f"{_OUTPUTS}/{part.name}"
            for item in config["Outputs"]:
                path, name = item["S3Output"]["LocalPath"], item["OutputName"]
                if path == folder or path.startswith(f"{folder}/"):
                    name = name.removeprefix(f"{part.name}-")
                    places[path] = {"Get": _OUTPUT.format(part.name, name)}
                    moved = {"LocalPath": path.replace(folder, _OUTPUTS, 1)}
                    output = {**item, "OutputName": name, "S3Output": {**item["S3Output"], **moved}}
                    outputs.setdefault(part.name, []).append(output)
        for part in parts:
            command = part.command if len(part.command) > 1 else (f"{_INPUTS}/{part.command[0]}",)
            arguments = {
                **step.arguments,
                "AppSpecification": {
                    "ImageUri": app["ImageUri"],
                    "ContainerEntrypoint": ["python3", *command],
                    **({"ContainerArguments": [*part.arguments]} if part.arguments else {}),
                },
                "ProcessingInputs": [
                    {
                        "InputName": name,
                        "S3Input": {
                            "S3Uri": _uri(f"{_FOLDER}/{path}", places),
                            "LocalPath": f"{_INPUTS}/{name}",
                        },
                    }
                    for name, path in part.inputs.items()
                ],
                "ProcessingOutputConfig": {**config, "Outputs": outputs[part.name]},
            }
            yield replace(step, name=part.name, arguments=arguments)
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{where}: not those of {chain_parts.MODULE}: {error!r}") from error
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


def _uri(path: str, places: Mapping[str, Any]) -> Any:
    """Returns the S3 URI of an input or output of a job, or of a folder in a literal one."""
    if path in places:
        return places[path]
    for folder, uri in places.items():
        if path.startswith(f"{folder}/") and isinstance(uri, str):
            return uri + path.removeprefix(folder)
    raise InputError(f"`{path}` is in no input or output of the job")
