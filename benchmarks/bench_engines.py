"""The same weights and start in ncbench, ASE, LAMMPS, i-PI and torch-sim: ``results/bench/engines.md``, ``engines.csv`` and ``engines_nvt.csv``.

    python benchmarks/bench_engines.py                      # 0.2 ps of 8 and 0.05 ps of 64 water molecules, and Langevin dynamics: some minutes of a core
    python benchmarks/bench_engines.py --duration 20        # test of the script
    python benchmarks/bench_engines.py --part nvt           # one part; the others stay as they are in the tables

Needs ``ncbench[pet,lammps,i-pi,torch-sim]`` and Python 3.12 or later. A run that was interrupted continues from its checkpoint.
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
HEATING = ("pet-m:direct",)
"""Models under a thermostat: those whose forces heat."""
ENGINES = ("own", "ase", "lammps", "i-pi", "torch-sim")
SHARES = {"water64": 0.25, "water8": 1.0}
"""System → length of its runs at constant energy, as a share of the requested one."""
PARTS = (*SHARES, "nvt")
FILE, NVT_FILE = "engines.csv", "engines_nvt.csv"
THERMOSTAT, EQUILIBRATION_FS = "langevin:20", 100.0
RESULTS = Path(__file__).parents[1] / "results" / "bench"
HEAD = (
    "| model | engine | version | ΔU₀ meV/atom | ΔK₀ meV/atom | largest ΔF₀ meV/Å | drift meV/atom/ps | minus own | in errors | agrees | positions at the end, Å |\n"
    "|---|---|---|---|---|---|---|---|---|---|---|\n"
)
NVT_HEAD = "| model | engine | ⟨T⟩ of H, K | ⟨T⟩ of O, K | P, meV/atom/ps |\n|---|---|---|---|---|\n"


def ncbench(command: str, models: tuple[str, ...], *words: str) -> None:
    """Run a command."""
    chosen = [word for model in models for word in ("--model", model)]
    subprocess.run([sys.executable, "-m", "ncbench", command, *chosen, *words], check=True)


def measured(system: str, duration_fs: float, out: Path) -> pd.DataFrame:
    """Rows of ``ncbench compare-engines``."""
    folder = out / system
    ncbench("compare-engines", MODELS, "--system", system, "--timestep", "0.5", "--duration", f"{SHARES[system] * duration_fs:g}", "--sample-every", "2",
            "--engine", ",".join(ENGINES), "--out", str(folder))  # fmt: skip
    return pd.read_csv(folder / "compare-engines.csv").drop(columns=["job"])


def thermostatted(duration_fs: float, out: Path) -> pd.DataFrame:
    """Rows of ``ncbench nvt`` on ``water8`` in each engine."""
    rows = []
    for engine in ENGINES:
        folder = out / f"nvt-{engine}"
        ncbench("nvt", HEATING, "--system", "water8", "--timestep", "0.5", "--duration", f"{duration_fs:g}", "--equilibration", f"{EQUILIBRATION_FS:g}",
                "--thermostat", THERMOSTAT, "--engine", engine, "--out", str(folder))  # fmt: skip
        rows.append(pd.read_csv(folder / "nvt.csv").drop(columns=["job"]))
    return pd.concat(rows, ignore_index=True)


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


def table(rows: pd.DataFrame) -> str:
    """The runs of one system at constant energy."""
    first = rows.iloc[0]
    return (
        f"## {first['system']}, {first['n_atoms']} atoms, {first['duration_fs'] / 1000:g} ps\n\n"
        f"Mean temperature {rows['temperature_mean_K'].min():.0f} to {rows['temperature_mean_K'].max():.0f} K.\n\n"
        + HEAD
        + "".join(line(row) for _, row in rows.iterrows())
    )


def nvt_table(rows: pd.DataFrame) -> str:
    """The runs under a thermostat."""
    lines = []
    for (model, mode, engine), run in rows.groupby(["model", "force_mode", "engine"], sort=False):
        species = run.set_index("species")
        temperatures = (
            with_error(one["temperature_K"], one["temperature_K_se"], known=bool(one["plateau"]))
            for one in (species.loc["H"], species.loc["O"])
        )
        whole = species.loc["all"]
        power = with_error(
            whole["power_meV_per_atom_per_ps"],
            whole["power_meV_per_atom_per_ps_se"],
            known=bool(whole["power_error_known"]),
        )
        lines.append(f"| {' | '.join([f'{model}:{mode}', engine, *temperatures, power])} |\n")
    return NVT_HEAD + "".join(sorted(lines, key=lambda text: text.split(" | ")[0]))


def text(rows: pd.DataFrame, nvt: pd.DataFrame) -> str:
    """The page."""
    first, bath = rows.iloc[0], nvt.iloc[0]
    return (
        "# Engines compared\n\n"
        f"`python benchmarks/bench_engines.py`: the same weights, positions and momenta in each program, velocity Verlet at {first['timestep_fs']:g} fs, "
        f"periodic boxes of water, momenta drawn at 300 K, {first['dtype']}, one thread of {platform.machine()}.\n\n"
        "ΔU₀, ΔK₀, ΔF₀: potential and kinetic energy and forces that the engine reports before the first step, minus ncbench's. ASE evaluates every structure anew, LAMMPS gets "
        "forces by `fix external`, i-PI by its driver interface, torch-sim by its model interface. The error of a difference is that of independent runs: an upper bound while the runs follow one path "
        "(positions at the end). `?`: the error is a lower bound.\n\n"
        + "\n".join(table(one) for _, one in rows.groupby("system", sort=False))
        + f"\n## {bath['system']} under Langevin dynamics with τ = {bath['tau_fs']:g} fs\n\n"
        f"`nvt --engine ENGINE`: the engine's own integrator and noise at the same friction, {bath['target_K']:g} K, {bath['steps'] * bath['timestep_fs'] / 1000:g} ps after "
        f"{EQUILIBRATION_FS / 1000:g} ps. P is the power that the thermostat removes.\n\n" + nvt_table(nvt)
    )


def main() -> None:
    """Run and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--duration", type=float, default=200.0, help="Length of each run of water8, fs.")
    parser.add_argument("--part", action="append", choices=PARTS, help="Run this part alone; repeat it for several.")
    parser.add_argument("--work", type=Path, default=Path("engines-results"), help="Results folder of the runs.")
    parser.add_argument("--out", type=Path, default=RESULTS, help="Folder of the table.")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    for part in arguments.part or PARTS:
        if part == "nvt":
            thermostatted(arguments.duration, arguments.work).to_csv(arguments.out / NVT_FILE, index=False)
        else:
            file = arguments.out / FILE
            kept = [pd.read_csv(file).query("system != @part")] if file.exists() else []
            rows = pd.concat([*kept, measured(part, arguments.duration, arguments.work)], ignore_index=True)
            rows.to_csv(file, index=False)
    rows, nvt = (pd.read_csv(arguments.out / name) for name in (FILE, NVT_FILE))
    (arguments.out / "engines.md").write_text(text(rows, nvt), encoding="utf-8")
    sys.stdout.write(f"{arguments.out / 'engines.md'}\n")


if __name__ == "__main__":
    main()
