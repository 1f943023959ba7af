"""The cache of step results, keyed by the inputs of the step."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sashiko.base.files import canonical_json, read_json, sha256_bytes, write_json
from sashiko.base.yaml_models import Frozen, validate
from sashiko.errors import InputError
from sashiko.pipeline.definition.durations import parse_duration
from sashiko.pipeline.runner.local_job import Job
from sashiko.pipeline.runner.run_record import DataRecord, now, stamp


class CacheEntry(Frozen):
    """A finished step."""

    run: str
    made: str  # time of the entry, UTC, ISO 8601
    described: dict[str, Any]  # the Describe response of its job; later steps refer to it
    outputs: dict[str, DataRecord]


class _Stored(Frozen):
    entry: CacheEntry
    sha256: str


@dataclass(frozen=True)
class StepCache:
    """The folder of finished steps; it is created with the first one."""

    folder: Path

    def find(self, key: str, *, expires: str) -> CacheEntry | None:
        """Returns the entry of a key, or None if there is none or it is too old.

        Raises:
            InputError: if it is damaged.
        """
        path = self._path(key)
        if not path.is_file():
            return None
        stored = validate(_Stored, read_json(path), source=str(path))
        if stored.sha256 != _digest(stored.entry):
            raise InputError(f"{path} is not what was written (its sha256 differs)")
        entry = stored.entry
        age = now() - datetime.fromisoformat(entry.made)
        return None if expires and age > parse_duration(expires) else entry

    def put(self, key: str, *, run: str, described: Any, outputs: dict[str, DataRecord]) -> None:
        """Writes an entry atomically."""
        entry = CacheEntry(run=run, made=stamp(now()), described=described, outputs=outputs)
        stored = _Stored(entry=entry, sha256=_digest(entry))
        write_json(self._path(key), stored.model_dump(mode="json"))

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.json"


def _digest(entry: CacheEntry) -> str:
    return sha256_bytes(canonical_json(entry.model_dump(mode="json")))


def cache_key(job: Job, *, kind: str, inputs: Mapping[str, str], code: str) -> str:
    """Returns the cache key of a job: SageMaker's attributes, with content digests for URIs.

    As in SageMaker, a step reuses the result of a step of the same name only.
    """
    staged = {source.name: [source.folder, inputs[source.name]] for source in job.sources}
    fields = {"step": job.step, "type": kind, "code": code, "inputs": staged, **job.cache_fields}
    return sha256_bytes(canonical_json(fields))
