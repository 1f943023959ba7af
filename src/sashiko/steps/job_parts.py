"""Runs several steps in one job, one after the other, each in a process of its own.

    python -m sashiko.steps.job_parts --part Score --module sashiko.steps.score \
        --input artifact=output/Compile/artifact --input test=input/test -- --part Evaluate ...

SageMaker starts a machine for each job, which takes minutes; steps of one role and image can share
it. A part sees the folders of a job of its own: an input is a link to an input of the job or to an
earlier part's output, which takes no way through S3. The job uploads all outputs when it ends, so a
job that is killed begins at its first part again.

On one's own machine `sashiko run` makes a step of each part instead
(`sashiko.pipeline.definition.unchain`), with a result, a log and a cache key of its own.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from sashiko.base.chain_parts import Part, read_parts
from sashiko.base.files import make_folder
from sashiko.base.job_folders import opt_ml


def main() -> None:
    """Runs the parts; the first that fails ends the job with its exit status."""
    for part in read_parts(sys.argv[1:]):
        root = _folders(part)
        start = time.monotonic()
        print(f"{part.name}: running", file=sys.stderr, flush=True)
        status = subprocess.run(
            [sys.executable, *_resolve(part.command, root), *part.arguments],
            env=os.environ | {"OPT_ML": str(root)},
            check=False,
        ).returncode
        seconds = f"{time.monotonic() - start:.1f} s"
        if status:
            _pass_on_failure(part.name, root)
            print(f"{part.name}: failed in {seconds}", file=sys.stderr)
            sys.exit(status if status > 0 else 128 - status)
        print(f"{part.name}: succeeded in {seconds}", file=sys.stderr, flush=True)


def _folders(part: Part) -> Path:
    """Makes the folders of a part, as SageMaker makes those of a job, and returns their root."""
    job = opt_ml()
    root = make_folder(job / "parts" / part.name)
    inputs = make_folder(root / "processing" / "input")
    for name, path in part.inputs.items():
        (inputs / name).symlink_to(job / "processing" / path)
    outputs = make_folder(job / "processing" / "output" / part.name)
    (root / "processing" / "output").symlink_to(outputs)
    (root / "config").symlink_to(job / "config")
    return root


def _resolve(command: Sequence[str], root: Path) -> Iterator[str]:
    inputs = root / "processing" / "input"
    return iter(command if command[0] == "-m" else [str(inputs / word) for word in command])


def _pass_on_failure(name: str, root: Path) -> None:
    """Copies a part's reason to where SageMaker reads the job's."""
    failure = root / "output" / "failure"
    if failure.is_file():
        text = f"{name}: {failure.read_text()}"
        (make_folder(opt_ml() / "output") / "failure").write_text(text)


if __name__ == "__main__":
    main()
