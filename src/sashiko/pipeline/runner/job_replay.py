"""Runs the job of an earlier run again, from its recorded inputs, in a separate folder."""

from collections.abc import Mapping
from pathlib import Path

from sashiko.errors import InputError
from sashiko.pipeline.definition.definition_records import Definition
from sashiko.pipeline.definition.graph import resolve_steps, up_to
from sashiko.pipeline.definition.job_arguments import image_of, job_arguments
from sashiko.pipeline.runner.execute import Workspace, failure_reason
from sashiko.pipeline.runner.local_job import Image, make_job
from sashiko.pipeline.runner.process import Processes
from sashiko.pipeline.runner.run_record import RunRecord
from sashiko.pipeline.runner.store import Store, copy_files


def replay(
    run: RunRecord, definition: Definition, step: str, *, store: Store, folder: Path
) -> Mapping[str, Path]:
    """Runs a step's job again in an empty folder, without writing to the run or the store.

    Returns:
        Output name -> the folder with the new output.

    Raises:
        InputError: if an input is gone, or the job does not succeed.
    """
    steps = resolve_steps(
        up_to(definition, step),
        parameters=run.parameters,
        execution={
            "PipelineName": run.pipeline,
            "PipelineExecutionId": run.id,
            "StartDateTime": run.start,
        },
        job_name=lambda step: run.step(step).job,
    )
    defined, values = next(pair for pair in steps if pair[0].name == step)
    arguments, record = job_arguments(defined, values), run.step(step)
    images = {image_of(arguments): Image(())}
    job = make_job(step, arguments, name=record.job, images=images, resolved=values)
    workspace, log = Workspace(folder), folder / "replay.log"
    workspace.prepare(job, host=job.hosts[0], checkpoints=None)
    for source in job.sources:
        uri = record.inputs[source.name].uri  # of a cached step, another run's
        copy_files(store.files(uri), workspace.path(source.folder))
    process_exit = Processes(1).run(
        workspace.command(job),
        environment=workspace.environment(job),
        folder=folder,
        log=log,
        on_line=lambda _: None,
        max_seconds=job.max_seconds,
    )
    if process_exit.status != 0:
        reason = failure_reason(process_exit, job, workspace=workspace, log=log)
        raise InputError(f"step {step} of run {run.id} does not succeed again: {reason}")
    return {result.name: workspace.path(result.folder) for result in job.results}
