"""Text files, compressed or not, as lines."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def opened(path: Path) -> Iterator[Iterator[str]]:
    """The lines of a text file, compressed or not."""
    from ase.io.formats import open_with_compression

    stream = open_with_compression(str(path), "rt")
    try:
        yield iter(stream)
    finally:
        stream.close()
