"""Backend of target cpu: ONNX graphs, whose sessions open on first use."""

from pathlib import Path

import numpy as np
import onnxruntime
from backend import Ids, Machine, Scores, Values
from bundle import Bucket, Bundle

_SPIN_MICROSECONDS = "100"
# On a CPU this fused operator takes several times as long as the two that it replaces
# (docs/decisions/0027-fused-graphs.md).
_SLOW = ["SkipLayerNormFusion"]


def open_backend(folder: Path, bundle: Bundle, machine: Machine) -> "OnnxBackend":  # noqa: ARG001 - the same arguments for each target
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
        self._sessions: dict[str, onnxruntime.InferenceSession] = {}  # several shapes share one

    def run(self, bucket: Bucket, ids: Ids, mask: "Ids | Values") -> Scores:
        """Scores one full bucket: see `backend.Backend`."""
        inputs = {"input_ids": ids, "attention_mask": mask}
        (scores,) = self._session(bucket.graph).run(["scores"], inputs)
        return np.asarray(scores, dtype=np.float32)

    def _session(self, graph: str) -> onnxruntime.InferenceSession:
        if graph not in self._sessions:
            self._sessions[graph] = _open(self._folder / graph, threads=self._threads)
        return self._sessions[graph]


def _open(graph: Path, *, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Between two operators a thread waits for microseconds, and waking it would take longer than
    # that. After a run it must not spin on a core that another job could use.
    options.add_session_config_entry("session.intra_op.spin_duration_us", _SPIN_MICROSECONDS)
    return onnxruntime.InferenceSession(
        str(graph), options, providers=["CPUExecutionProvider"], disabled_optimizers=_SLOW
    )
