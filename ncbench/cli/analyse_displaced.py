"""``analyse`` for files of displaced structures with forces: λ with an error."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from ncbench.cli.characters import print_json


def analyse_displaced(paths: Sequence[str], *, label: str, out: Path, as_json: bool) -> int:
    """Measure, write and print; the exit code: 1 where no file has a λ.

    Raises:
        UsageError: a file lacks frames, forces, ``dof`` or ``sign``.
    """
    from ncbench.cli.tables import print_rows
    from ncbench.diagnostics.displaced_frames import displaced_rows, summary
    from ncbench.store.analysis_tables import write_tables
    from ncbench.types import Status

    schema, rows = displaced_rows(paths)
    name = label or Path(paths[0]).absolute().parent.name
    written = write_tables(out, [(schema, rows)], label=name, files=map(Path, paths), record={"options": {}})
    if as_json:
        print_json(rows)
    else:
        print_rows("analyse-displaced", [{"model": name, **row} for row in rows])
        sys.stdout.write(f"{summary(rows)}\nTables: {', '.join(written)} and .parquet in {out}\n")
    return 0 if any(row["status"] == Status.OK for row in rows) else 1
