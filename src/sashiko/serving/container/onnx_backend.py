"""Backend of target cpu: ONNX graphs, whose sessions open on first use."""

from pathlib import Path

import numpy as np
import onnxruntime
from backend import Ids, Machine, Scores
from bundle import Bucket, Bundle


def open_backend(folder: Path, bundle: Bundle, machine: Machine) -> "OnnxBackend":  # noqa: ARG001
    """Opens the graphs of an artifact: see `backend.open_backend`."""
    return OnnxBackend(folder, threads=machine.threads)


class OnnxBackend:
    """Runs the graphs of one artifact on the CPU."""

    def __init__(self, folder: Path, *, threads: int) -> None:
        """Opens no session yet.

        Args:
            folder: the unpacked artifact.
            threads: for each operator; 0 lets the runtime take every core.
        """
        self._folder = folder
        self._threads = threads
        self._sessions: dict[Bucket, onnxruntime.InferenceSession] = {}

    def run(self, bucket: Bucket, ids: Ids, mask: Ids) -> Scores:
        """Scores one full bucket: see `backend.Backend`."""
        inputs = {"input_ids": ids, "attention_mask": mask}
        (scores,) = self._session(bucket).run(["score"], inputs)
        return np.asarray(scores, dtype=np.float32)

    def _session(self, bucket: Bucket) -> onnxruntime.InferenceSession:
        if bucket not in self._sessions:
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = self._threads
            options.inter_op_num_threads = 1
            # Waiting threads must not spin on cores that another job could use.
            options.add_session_config_entry("session.intra_op.allow_spinning", "0")
            self._sessions[bucket] = onnxruntime.InferenceSession(
                str(self._folder / bucket.graph), options, providers=["CPUExecutionProvider"]
            )
        return self._sessions[bucket]
