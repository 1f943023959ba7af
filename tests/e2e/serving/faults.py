"""Faults of a served artifact: each spoils an unpacked one in place."""

# What torch-neuronx raises if the runtime fails; the wording as in aws-neuron-samples #96.
NEURON = 'nrt_execute status=4 message="Allocation Failure"'


def raises(code: str):
    """Puts code where the compiled graph would run."""

    def spoil(artifact) -> None:
        with (artifact / "code" / "onnx_backend.py").open("a") as file:
            file.write(f"\n\ndef _fail(*_):\n    {code}\n\n\nOnnxBackend.run = _fail\n")

    return spoil


def broken_graph(artifact) -> None:
    for graph in artifact.glob("*.onnx"):
        graph.write_bytes(graph.read_bytes()[:40])


FAULTS = {
    "broken-graph": broken_graph,
    "missing-tokenizer": lambda artifact: (artifact / "tokenizer.json").unlink(),
    "other-machine": lambda artifact: (artifact / "serving.json").write_text(
        (artifact / "serving.json").read_text().replace('"onnx_backend"', '"tpu_backend"')
    ),
    "neuron-error": raises(f"raise RuntimeError({NEURON!r})"),
    "out-of-memory": raises("bytearray(1 << 62)"),
    "killed": raises("import os; os.kill(os.getpid(), 9)"),  # as the kernel does, out of memory
}
