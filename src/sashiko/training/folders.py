"""Writes a model's folder so that a full disk leaves nothing half-written in it."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sashiko.errors import InputError, disk_reason


@contextmanager
def publish(folder: Path) -> Iterator[Path]:
    """Yields a folder beside `folder`; its files move into that one when all are written.

    Raises:
        InputError: if they cannot be written.
    """
    from safetensors import SafetensorError

    temporary = ""
    try:
        temporary = tempfile.mkdtemp(dir=folder.parent, prefix=".tmp-model-")
        yield Path(temporary)
        for file in sorted(Path(temporary).iterdir()):
            file.chmod(0o644)
            file.replace(folder / file.name)
    except OSError as error:
        raise InputError(f"cannot write the model to {folder}: {disk_reason(error)}") from error
    except SafetensorError as error:
        raise InputError(
            f"cannot write the model to {folder}: {error}; free some space and run again"
        ) from error
    finally:
        if temporary:
            shutil.rmtree(temporary, ignore_errors=True)
