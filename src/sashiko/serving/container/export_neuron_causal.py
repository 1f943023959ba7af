"""Exporter of target inf2-causal: a decoder compiled by optimum-neuron, and its weights.

Not verified on hardware. Written against optimum-neuron 0.4.1, which the serving image has:
`NeuronModelForCausalLM.get_neuron_config`, `.export` and `.save_pretrained`. vLLM's Neuron images
cannot serve a score: the runner of optimum-neuron returns no log probabilities, in its newest
release (0.4.5, optimum/neuron/vllm/runner.py: `logprobs=None`) as in that of the images.
"""

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import export_neuron
import torch
from bundle import EAGER_FOLDER, Bucket, shapes
from classifier import CompileError, ScoredModel, quiet
from export import MODEL_FILE, Exported
from neuron_causal_backend import GRAPH, RELEASE_GRAPH
from neuron_machine import Neuron
from safetensors import safe_open
from safetensors.torch import save_file

DECODER_FOLDER = "decoder"
INPUTS = ("input_ids", "attention_mask", "position_ids", "seq_ids")
_CORES = 1
_CONFIG_FILE = "config.json"
_CLASS = "ForSequenceClassification"
_HEAD = "score.weight"
# optimum-neuron asks the hub for compiled graphs; refused at once, it goes on without.
_NO_HUB = "http://127.0.0.1:9"


def export(
    model: ScoredModel,  # noqa: ARG001 - the same arguments for each target
    folder: Path,
    settings: Mapping[str, Any],
) -> Exported:
    """Exports the model in the artifact's folder `eager`: see `export.export`.

    Raises:
        CompileError: if the recipe names more than one shape, the compiler is missing, fails or
            differs from the one that the lock names, or the model is too large for the smallest
            instance.
    """
    versions = export_neuron.compiler_versions(os.environ.get("NEURON_COMPILER"))
    bucket, *others = shapes(settings["batch_sizes"], settings["sequence_lengths"])
    if others:
        raise CompileError(
            "compile.target: inf2-causal holds the weights once for each shape: name one of "
            "compile.batch_sizes and one of compile.sequence_lengths"
        )
    eager = folder / EAGER_FOLDER
    if (eager / MODEL_FILE).stat().st_size > export_neuron.MOST_BYTES:
        most = f"{export_neuron.MOST_BYTES >> 30} GiB of a worker on an inf2.xlarge"
        raise CompileError(
            f"the model takes more than the {most}: serve it by gpu-vllm (compile.target)"
        )
    with tempfile.TemporaryDirectory(prefix="decoder-") as scratch:
        source = write_decoder(eager, Path(scratch, "source"), dtype=settings["dtype"])
        compile_decoder(source, folder / DECODER_FOLDER, bucket, workdir=Path(scratch, "neuronx"))
    neuron = Neuron(inputs=INPUTS, cores=_CORES, packages=versions)
    return Exported(
        buckets=(replace(bucket, graph=DECODER_FOLDER),),
        packages=("optimum-neuron", *export_neuron.COMPILER_PACKAGES),
        dtype=settings["dtype"],
        cores=_CORES,
        runtime=asdict(neuron),
    )


def write_decoder(classifier: Path, folder: Path, *, dtype: str) -> Path:
    """Writes a sequence classifier as the causal LM that optimum-neuron reads.

    The LM's head has the classifier's rows as the first ones of its vocabulary; the other rows are
    zeros, and nobody reads their logits. All its weights are of `dtype`. The folder, which it
    returns, does not exist yet.
    """
    folder.mkdir()
    with safe_open(str(classifier / MODEL_FILE), framework="pt") as file:
        names = set(file.keys())
        tensors = {name: file.get_tensor(name) for name in names - {_HEAD}}
        score = file.get_tensor(_HEAD)
    config = json.loads((classifier / _CONFIG_FILE).read_text(encoding="utf-8"))
    head = torch.zeros(config["vocab_size"], score.shape[1], dtype=getattr(torch, dtype))
    head[: len(score)] = score.to(head.dtype)
    tensors["lm_head.weight"] = head
    save_file(tensors, str(folder / MODEL_FILE), metadata={"format": "pt"})
    architectures = [
        name.replace(_CLASS, "ForCausalLM") for name in config.get("architectures", [])
    ]
    config |= {"architectures": architectures, "tie_word_embeddings": False, "torch_dtype": dtype}
    (folder / _CONFIG_FILE).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    return folder


def compile_decoder(source: Path, folder: Path, bucket: Bucket, *, workdir: Path) -> None:
    """Compiles a causal LM for one shape, and writes graph, configuration and weights.

    Raises:
        CompileError: if optimum-neuron does not know the architecture, or the compiler fails.
    """
    os.environ["BASE_COMPILE_WORK_DIR"] = f"{workdir}/"
    os.environ["HF_ENDPOINT"] = _NO_HUB
    try:
        from optimum.neuron.utils.instance import align_compilation_target

        # Before neuronx-distributed is imported, which reads the variable that this sets.
        align_compilation_target(export_neuron.INSTANCE_TYPE, override=True)
        from optimum.neuron import NeuronModelForCausalLM
    except ImportError as error:
        raise export_neuron.wrong_image(error, "inf2-causal") from error
    with export_neuron.translate_errors(bucket), quiet():
        neuron_config = NeuronModelForCausalLM.get_neuron_config(
            str(source),
            instance_type=export_neuron.INSTANCE_TYPE,
            batch_size=bucket.batch,
            sequence_length=bucket.length,
            tensor_parallel_size=_CORES,
        )
        # The logits are read, of a whole batch at once, and nothing is generated.
        neuron_config.on_device_sampling = False
        neuron_config.continuous_batching = False
        decoder = NeuronModelForCausalLM.export(str(source), neuron_config, load_weights=False)
        decoder.save_pretrained(str(folder))
    # The name of a pickle, which an artifact must not have; TorchScript is none.
    (folder / RELEASE_GRAPH).rename(folder / GRAPH)
