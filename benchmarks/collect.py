"""Copy the permanent part of a results folder: ``python benchmarks/collect.py results-paper results/laptop``.

Tables as Parquet, and as CSV up to a megabyte; figures, comparisons with the paper, the report; of each job its provenance. Checkpoints,
trajectories and logs are not copied. Absolute paths of the folder in texts are replaced by its name.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

MOST_CSV_BYTES = 1_000_000
TEXTS = (".csv", ".json", ".html", ".md")
TABLES = (".parquet", ".csv", ".json", ".html", ".md")


def collect(source: Path, target: Path, commit: str = "") -> int:
    """Replace ``target`` by the kept part of ``source``; returns its size in bytes.

    ``commit`` is entered in provenance without one, of runs from a copy without ``.git``; whether that copy had changes is then not known.
    """
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for path in sorted(source.iterdir()):
        if path.suffix in TABLES and not (path.suffix == ".csv" and path.stat().st_size > MOST_CSV_BYTES):
            shutil.copy2(path, target / path.name)
    for folder in ("figures", "paper"):
        if (source / folder).is_dir():
            shutil.copytree(source / folder, target / folder)
    for path in sorted(source.glob("jobs/*/provenance.json")):
        kept = target / f"{path.parent.name}.provenance.json"
        shutil.copy2(path, kept)
        if commit:
            _enter(commit, kept)
    for path in target.rglob("*"):
        if path.suffix in TEXTS and str(source.absolute()) in (text := path.read_text(encoding="utf-8")):
            path.write_text(text.replace(str(source.absolute()), source.name), encoding="utf-8")
    return sum(path.stat().st_size for path in target.rglob("*") if path.is_file())


def _enter(commit: str, path: Path) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    if not content["git"]:
        content["git"] = {"commit": commit, "dirty": None}
        path.write_text(json.dumps(content, indent=1, ensure_ascii=False), encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--commit", default="", help="of runs from a copy without .git")
    arguments = parser.parse_args()
    size = collect(arguments.source, arguments.target, arguments.commit)
    print(f"{arguments.target}: {size / 1e6:.1f} MB")
