"""Detects the kind of a log, and reads its runs."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from pathlib import Path

from ncbench.errors import UsageError
from ncbench.logs import tabular
from ncbench.logs.gpumd import is_thermo, read_gpumd
from ncbench.logs.hdf5 import MAGIC, read_hdf5
from ncbench.logs.lammps import SIGNS, read_lammps
from ncbench.logs.log import LogOptions, Run

_BEGINNING = 65536
"""Number of bytes from which the kind of a file is detected."""


def is_log(path: Path, *, columns: bool = False) -> bool:
    """Whether the file is a thermodynamic log of a kind known here. With ``columns`` any file of text is one.

    Raises:
        UsageError: no such file, a folder, or an empty file.
    """
    content = _content(path, _BEGINNING)
    if content.startswith(MAGIC):
        return path.suffix.lower() in (".h5", ".hdf5", ".h5md")
    return _reader(content.decode("utf-8", errors="replace"), path, columns=columns) is not None


def read_log(path: Path, options: LogOptions) -> list[Run]:
    """The runs of a log.

    Raises:
        UsageError: the file is not a log, or lacks information that an option can give: units, number of atoms, times.
    """
    content = _content(path, None)
    if content.startswith(MAGIC):
        return read_hdf5(path, options)
    text = content.decode("utf-8", errors="replace")
    reader = _reader(text[:_BEGINNING], path, columns=bool(options.columns))
    if reader is None:
        raise UsageError(f"'{path}' is not a log of a known kind.", hint="Name its columns: --columns time=…,energy=….")
    return reader(text, options)


def _reader(text: str, path: Path, *, columns: bool) -> Callable[[str, LogOptions], list[Run]] | None:
    kinds = (
        (SIGNS, tabular_reader(read_lammps, path)),
        (tabular.ASE_SIGNS, tabular_reader(tabular.read_ase, path)),
        (tabular.IPI_SIGNS, tabular_reader(tabular.read_ipi, path)),
        (tabular.OPENMM_SIGNS, tabular_reader(tabular.read_openmm, path)),
    )
    for signs, reader in kinds:
        if signs.search(text):
            return reader
    if columns:
        return tabular_reader(tabular.read_columns, path)
    if is_thermo(text, path.name):
        return lambda whole, options: read_gpumd(whole, path, options)
    return None


def tabular_reader(
    read: Callable[[str, str, LogOptions], list[Run]], path: Path
) -> Callable[[str, LogOptions], list[Run]]:
    """The reader with the file's name filled in."""
    return lambda text, options: read(text, path.name, options)


def _content(path: Path, most: int | None) -> bytes:
    if not path.exists():
        raise UsageError(f"There is no file '{path}'.")
    if path.is_dir():
        raise UsageError(f"'{path}' is a folder.", hint="Name a log or a trajectory.")
    with path.open("rb") as stream:
        packed = stream.read(2) == b"\x1f\x8b"
        stream.seek(0)
        try:
            content = (gzip.GzipFile(fileobj=stream) if packed else stream).read(-1 if most is None else most)
        except (OSError, EOFError, zlib.error) as error:
            raise UsageError(f"The file '{path}' cannot be read: {str(error)[:100]}.") from error
    if not content:
        raise UsageError(f"The file '{path}' is empty.")
    return content
