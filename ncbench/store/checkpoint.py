"""Checkpoints: the state of an unfinished job in one file, replaced atomically and checked on reading.

Layout: 8 bytes of magic, the SHA-256 of the rest (32 bytes), then an uncompressed ``.npz`` archive. The member ``state`` holds the
state as JSON (UTF-8 bytes) in which every array is a reference to another member. Nothing is pickled, so reading a
checkpoint runs no code. Floats pass through JSON by ``repr`` and come back to the same bits; whole numbers have no size
limit, as the 128-bit state of a random generator requires.
"""

from __future__ import annotations

import hashlib
import io
import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from ncbench.store.files import read_bytes, set_aside, store_errors, write_atomic

MAGIC = b"NCBCKPT1"
_HEAD = len(MAGIC) + 32
_ARRAY, _SCALAR, _MAPPING = "__array__", "__scalar__", "__mapping__"
_VERSIONS = "versions of packages"


class FileCheckpoint:
    """A :class:`ncbench.diagnostics.base.Checkpoint` kept in one file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.resumed = False
        """Whether a state was loaded, so that the run did not start at the beginning."""
        self.versions: dict[str, str] = {}
        """Versions that decide the results, saved with the state: a state of other versions is not continued. Empty if not known."""

    def load(self) -> dict[str, Any] | None:
        """The last complete state, or ``None``. One of other versions is deleted. A damaged file is set aside with a warning and counts as absent.

        Raises:
            StoreError: the file exists and cannot be opened.
        """
        content = read_bytes(self.path)
        if content is None:
            return None
        try:
            state = decode(content)
        except ValueError as error:
            set_aside(self.path, str(error))
            return None
        versions = state.pop(_VERSIONS, None)
        if versions and self.versions and versions != self.versions:
            self.clear()
            return None
        self.resumed = True
        return state

    def save(self, state: Mapping[str, Any]) -> None:
        """Replace the saved state by ``state``.

        Raises:
            TypeError: an element is neither an array, number, string, ``None``, nor a list or mapping of these.
            StoreError: the disk is full or not writable; the previous state is kept.
        """
        write_atomic(self.path, encode({**state, _VERSIONS: self.versions} if self.versions else state))

    def clear(self) -> None:
        """Delete the state: the job is finished, or failed after resuming from it.

        Raises:
            StoreError: the file exists and cannot be removed.
        """
        with store_errors(self.path, "remove"):
            self.path.unlink(missing_ok=True)
        self.resumed = False


def encode(state: Mapping[str, Any]) -> bytes:
    """The file's content for a state.

    Raises:
        TypeError: an element cannot be stored.
    """
    arrays: dict[str, NDArray[Any]] = {}
    text = json.dumps(_pack(dict(state), arrays, "state"))
    archive = io.BytesIO()
    members: dict[str, Any] = {"state": np.frombuffer(text.encode(), dtype=np.uint8), **arrays}
    np.savez(archive, **members)
    payload = archive.getvalue()
    return MAGIC + hashlib.sha256(payload).digest() + payload


def decode(content: bytes) -> dict[str, Any]:
    """The inverse of :func:`encode`; tuples become lists.

    Raises:
        ValueError: the content is truncated, altered, or not a checkpoint.
    """
    if content[: len(MAGIC)] != MAGIC:
        raise ValueError("not a checkpoint")
    payload = content[_HEAD:]
    if hashlib.sha256(payload).digest() != content[len(MAGIC) : _HEAD]:
        raise ValueError("its checksum does not match")
    try:
        with np.load(io.BytesIO(payload), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        state = _unpack(json.loads(arrays["state"].tobytes().decode()), arrays)
    except (
        BadZipFile,
        EOFError,
        OSError,
        LookupError,
        RuntimeError,
        TypeError,
        AttributeError,
        MemoryError,
        zlib.error,
    ) as error:
        # A file with a valid checksum may still have other content.
        raise ValueError(f"it does not hold a state: {error}") from error
    if not isinstance(state, dict):
        raise ValueError("it does not hold a state")  # noqa: TRY004 - of the file, not of an argument
    return state


def _pack(value: Any, arrays: dict[str, NDArray[Any]], where: str) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        # A StrEnum is stored as a string: its members are read back as plain strings.
        return str(value) if isinstance(value, str) else value
    if isinstance(value, np.ndarray | np.generic):
        array = np.asarray(value)
        if array.dtype.hasobject:
            raise TypeError(f"a checkpoint cannot store the array of objects at {where}")
        name = f"a{len(arrays)}"
        arrays[name] = array
        return {_SCALAR if isinstance(value, np.generic) else _ARRAY: name}
    if isinstance(value, Mapping):
        if wrong := [key for key in value if not isinstance(key, str)]:
            raise TypeError(f"a checkpoint stores mappings with string keys, not {wrong[0]!r} at {where}")
        packed = {str(key): _pack(item, arrays, f"{where}.{key}") for key, item in value.items()}
        return {_MAPPING: packed} if packed.keys() & {_ARRAY, _SCALAR, _MAPPING} else packed
    if isinstance(value, list | tuple):
        return [_pack(item, arrays, f"{where}[{index}]") for index, item in enumerate(value)]
    raise TypeError(f"a checkpoint cannot store the {type(value).__name__} at {where}")


def _unpack(value: Any, arrays: Mapping[str, NDArray[Any]]) -> Any:
    if isinstance(value, list):
        return [_unpack(item, arrays) for item in value]
    if not isinstance(value, dict):
        return value
    if _ARRAY in value:
        return arrays[value[_ARRAY]]
    if _SCALAR in value:
        return arrays[value[_SCALAR]][()]
    inner = value.get(_MAPPING, value)
    return {key: _unpack(item, arrays) for key, item in inner.items()}
