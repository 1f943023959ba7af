"""A pickle is known by what it is, whatever its name; weights are not mistaken for one."""

import io
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch

from sashiko.errors import InputError
from sashiko.files import sha256_bytes
from sashiko.inspection import inspect_artifact


def artifact(folder: Path, name: str, content: bytes) -> Path:
    archive = folder / "model.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
    return archive


def saved(*, zipped: bool) -> bytes:
    buffer = io.BytesIO()
    torch.save({"w": torch.zeros(3)}, buffer, _use_new_zipfile_serialization=zipped)
    return buffer.getvalue()


def script() -> bytes:
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        *(pickle.dumps({"a": [1, 2]}, protocol=number) for number in range(2, 6)),
        pickle.dumps(np.zeros(1000)),
        saved(zipped=True),
        saved(zipped=False),
    ],
)
def test_a_pickle_under_another_name_is_refused(tmp_path: Path, content: bytes) -> None:
    archive = artifact(tmp_path, "weights.bin", content)
    with pytest.raises(InputError, match=r"weights\.bin is a pickle"):
        inspect_artifact(archive, expected={"weights.bin": sha256_bytes(content)})


@pytest.mark.parametrize(
    "content",
    [b"", b"\x80", b"\x80\x02 weights", b"PK\x03\x04 no zip", script(), b'{"a": 1}'],
)
def test_what_is_none_is_let_through(tmp_path: Path, content: bytes) -> None:
    archive = artifact(tmp_path, "model.neuron", content)
    inspect_artifact(archive, expected={"model.neuron": sha256_bytes(content)})
