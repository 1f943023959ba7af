"""Compile: turns a fine-tuned model into the served artifact and its compile lock.

Runs in the serving image as a plain file:
`python3 /opt/ml/processing/input/code/compile_model.py`.
"""

import errno
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from adapter import AdapterError, is_adapter
from bundle import TOKENIZER_FILE, Bundle, write_bundle
from cast import FLOAT32, cast_model
from classifier import CompileError, PositiveProbability, load_classifier
from export import MODEL_FILE, export
from lock import write_lock
from merge import Merge, merge_model
from pack import pack
from prompt import read_prompt
from tar_reader import ArchiveError, unpack
from verify import largest_difference

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True)
class Job:
    """The folders of a processing job."""

    root: Path

    def input(self, name: str) -> Path:
        """Returns the folder of an input."""
        return self.root / "processing" / "input" / name

    def output(self, name: str) -> Path:
        """Returns the folder, made if missing, of an output."""
        folder = self.root / "processing" / "output" / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder


def compile_job(job: Job) -> None:
    """Writes `artifact/model.tar.gz` and `lock/compile-lock.json`.

    Raises:
        CompileError: if the model or the settings are refused, or the compiled model differs too
            much from the eager one.
    """
    settings = _read(job.input("config") / "compile.json")
    text = _read(job.input("config") / "text.json")
    target = _read(job.input("code") / "target.json")  # sashiko.pipeline.staging writes it
    with tempfile.TemporaryDirectory(prefix="compile-") as scratch:
        source, artifact = Path(scratch, "source"), Path(scratch, "artifact")
        archive = Path(scratch, "model.tar.gz")
        artifact.mkdir()
        _log("unpacking the model")
        _unpack(job.input("model") / "model.tar.gz", source)
        merge = None
        if is_adapter(source):
            _log("merging adapter and base model")
            source, merge = _merge(source, job.input("base"), Path(scratch, "merged"))
        model = load_classifier(source)
        dtype = settings["dtype"]
        served = cast_model(source, Path(scratch, "cast"), dtype=dtype) if merge else source
        _log(f"exporting for {settings['target']} in {dtype}")
        exported = export(model, served, artifact, settings, target)
        bundle = Bundle(
            target=settings["target"],
            backend=target["backend"],
            labels=(model.config.id2label[0], model.config.id2label[1]),
            template=text["template"],
            missing=text["missing"],
            truncate=text["truncate"],
            pad_id=model.config.pad_token_id or 0,
            buckets=exported.buckets,
            prompt=read_prompt(source),
            fixed_lengths=exported.fixed_lengths,
            runtime=exported.runtime,
        )
        write_bundle(bundle, artifact)
        shutil.copyfile(source / TOKENIZER_FILE, artifact / TOKENIZER_FILE)
        _copy_handler(target["handler"], job.input("code"), artifact / "code")
        difference = _measure_difference(model, artifact, bundle, tolerance=settings["tolerance"])
        _log("packing the artifact")
        pack(artifact, archive)
        write_lock(
            job.output("lock"),
            settings=settings,
            exported=exported,
            # DeviceCheck measures the difference of an accelerator's graphs on the accelerator.
            difference=None if target["accelerated"] else difference,
            weights=served / MODEL_FILE,
            artifact=artifact,
            archive=archive,
            merge=merge,
            cast_difference=None if dtype == FLOAT32 else difference,
        )
        _publish(archive, job.output("artifact") / "model.tar.gz")


def _unpack(archive: Path, folder: Path) -> None:
    try:
        unpack(archive, folder)
    except ArchiveError as error:
        raise CompileError(f"{archive} cannot be unpacked: {error}") from error
    except FileNotFoundError as error:
        raise CompileError(f"{archive} does not exist: run Train again") from error


def _merge(source: Path, base: Path, folder: Path) -> tuple[Path, Merge]:
    try:
        merge = merge_model(source, base, folder)
    except AdapterError as error:
        raise CompileError(str(error)) from error
    _log(f"merged and apart, a probability differs by {merge.difference:.1e} at most")
    return folder, merge


def _measure_difference(
    model: PositiveProbability, artifact: Path, bundle: Bundle, *, tolerance: float
) -> float:
    _log(f"comparing {len(bundle.buckets)} shapes with the eager model")
    difference = largest_difference(model, artifact, bundle)
    _log(f"largest difference of a probability: {difference:.1e}, allowed: {tolerance:.1e}")
    # With `not`, so that NaN fails.
    if not difference <= tolerance:
        raise CompileError(
            f"the compiled model differs from the eager one by {difference:.3g}, more than "
            f"compile.tolerance={tolerance:g} allows"
        )
    return difference


def _copy_handler(names: Sequence[str], code: Path, folder: Path) -> None:
    folder.mkdir()
    for name in names:
        shutil.copyfile(code / name, folder / name)


def _publish(source: Path, target: Path) -> None:
    """Copies a file, possibly between file systems, so that no partial file has its name."""
    partial = target.with_suffix(".part")
    shutil.copyfile(source, partial)
    partial.replace(target)


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _log(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def main() -> None:
    """Compiles; bad input and a full disk are reported on stderr and in `output/failure`."""
    job = Job(Path(os.environ.get("OPT_ML", "/opt/ml")))
    try:
        compile_job(job)
    except CompileError as error:
        _fail(job, str(error))
    except OSError as error:
        if error.errno not in _FULL:
            raise
        place = error.filename or "an output"
        _fail(job, f"cannot write {place}: {error.strerror}; free some space and run again")


def _fail(job: Job, reason: str) -> NoReturn:
    failure = job.root / "output" / "failure"
    with suppress(OSError):  # on a full disk the message goes to stderr only
        failure.parent.mkdir(parents=True, exist_ok=True)
        failure.write_text(f"{reason}\n", encoding="utf-8")
    sys.exit(f"error: {reason}")


if __name__ == "__main__":
    main()
