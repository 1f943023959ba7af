"""SageMaker's folders inside a job, below `OPT_ML` (default `/opt/ml`)."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from sashiko.base.files import make_folder, read_json
from sashiko.errors import InputError

__all__ = ["Host", "processing_host", "processing_input", "processing_output"]


@dataclass(frozen=True)
class Host:
    """One of a job's instances."""

    index: int  # its position among all, from 0
    count: int  # of the instances


def opt_ml() -> Path:
    """Returns the root of the job's folders: `$OPT_ML`, or `/opt/ml` as in SageMaker."""
    return Path(os.environ.get("OPT_ML", "/opt/ml"))


def processing_input(name: str) -> Path:
    """Returns the folder where a processing job finds its input `name`."""
    return opt_ml() / "processing" / "input" / name


def processing_output(name: str) -> Path:
    """Creates and returns the folder that becomes a processing job's output `name`."""
    return make_folder(opt_ml() / "processing" / "output" / name)


def pass_on(*folders: Path) -> None:
    """Copies the files of folders into the output `evidence`, which Register reads as one input.

    A job may have ten inputs ("ProcessingInputs" of CreateProcessingJob, SageMaker API Reference).
    """
    for folder in folders:
        shutil.copytree(folder, processing_output("evidence"), dirs_exist_ok=True)


def processing_job_name() -> str:
    """Returns the name of this processing job; in a pipeline it contains the execution's id.

    Raises:
        InputError: if SageMaker's description of the job is missing or has no name.
    """
    file = opt_ml() / "config" / "processingjobconfig.json"
    name = read_json(file).get("ProcessingJobName")
    if not name:
        raise InputError(f"{file} has no key `ProcessingJobName`; SageMaker writes it for each job")
    return str(name)


def processing_host() -> Host:
    """Returns which of a processing job's instances this is.

    "Build Your Own Processing Container (Advanced Scenario)", Amazon SageMaker AI Developer Guide,
    has the file's keys. The names are sorted, so that every instance counts in the same order.

    Raises:
        InputError: if SageMaker's file is missing or does not name this instance.
    """
    file = opt_ml() / "config" / "resourceconfig.json"
    content = read_json(file)
    try:
        hosts = sorted(map(str, content["hosts"]))
        return Host(index=hosts.index(str(content["current_host"])), count=len(hosts))
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{file}: expected hosts and current_host, as SageMaker writes them: {error}"
        ) from error


def training_channel(name: str) -> Path:
    """Returns the folder where a training job finds its channel `name`."""
    return opt_ml() / "input" / "data" / name


def hyperparameters_file() -> Path:
    """Returns the JSON file of string hyperparameters that SageMaker gives a training job."""
    return opt_ml() / "input" / "config" / "hyperparameters.json"


def hosts_file() -> Path:
    """Returns the JSON file in which SageMaker names a training job's instances."""
    return opt_ml() / "input" / "config" / "resourceconfig.json"


def model_dir() -> Path:
    """Creates and returns the folder whose content becomes `model.tar.gz`."""
    return make_folder(opt_ml() / "model")


def output_data_dir() -> Path:
    """Creates and returns the folder whose content becomes `output.tar.gz`."""
    return make_folder(opt_ml() / "output" / "data")


def checkpoint_dir() -> Path:
    """Creates and returns the folder that SageMaker syncs to S3 while the job runs."""
    return make_folder(opt_ml() / "checkpoints")
