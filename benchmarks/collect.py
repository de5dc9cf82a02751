"""Copy the permanent part of a results folder: ``python benchmarks/collect.py results-paper results/laptop``.

Tables as Parquet, and as CSV up to a megabyte; figures, comparisons with the paper, the report; of each job its provenance. Checkpoints,
trajectories and logs are not copied. Absolute paths of the folder in texts are replaced by its name.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

MOST_CSV_BYTES = 1_000_000
TEXTS = (".csv", ".json", ".html", ".md")
TABLES = (".parquet", ".csv", ".json", ".html", ".md")


def collect(source: Path, target: Path) -> int:
    """Replace ``target`` by the kept part of ``source``; returns its size in bytes."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for path in sorted(source.iterdir()):
        if path.suffix in TABLES and not (path.suffix == ".csv" and path.stat().st_size > MOST_CSV_BYTES):
            shutil.copy2(path, target / path.name)
    for folder in ("figures", "paper"):
        if (source / folder).is_dir():
            shutil.copytree(source / folder, target / folder)
    for path in sorted(source.glob("jobs/*/provenance.json")):
        shutil.copy2(path, target / f"{path.parent.name}.provenance.json")
    for path in target.rglob("*"):
        if path.suffix in TEXTS and str(source.absolute()) in (text := path.read_text(encoding="utf-8")):
            path.write_text(text.replace(str(source.absolute()), source.name), encoding="utf-8")
    return sum(path.stat().st_size for path in target.rglob("*") if path.is_file())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    arguments = parser.parse_args()
    size = collect(arguments.source, arguments.target)
    print(f"{arguments.target}: {size / 1e6:.1f} MB")
