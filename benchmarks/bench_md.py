"""Cost of dynamics in addition to the model, as ratios measured in one run.

    python benchmarks/bench_md.py                      # everything, some ten minutes on 2 cores
    python benchmarks/bench_md.py --only overhead,mts  # sections by name
    python benchmarks/bench_md.py --only replicas --threads 2  # wall time on two cores: processes share the replicas, one replica has two threads
    python benchmarks/bench_md.py --quick              # test of the script

Sections: ``overhead`` (the loop of ncbench against bare force calls), ``neighbours`` (steps against ASE's VelocityVerlet with the model's own calculator and against
i-PI with the same field), ``replicas`` (throughput of R replicas in one call; on several cores in batches as a job makes them), ``mts`` (M = 8 against direct forces), ``memory`` (growth over 10⁵
steps of a cheap field). Writes ``results/bench/md.csv`` and ``.md``.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase import units as ase_units
from ase.md.verlet import VelocityVerlet
from bench_files import listing, loaded, merged, now, on_cores, prepare

from ncbench.md.ensemble import Scheme, default_batch
from ncbench.md.integrators import Dynamics
from ncbench.md.random import NoiseSource
from ncbench.md.run import RunSettings, run_md, warm_up
from ncbench.md.series import EnergySeries
from ncbench.md.state import Particles, draw_momenta, initial_state
from ncbench.memory import resident
from ncbench.models.interface import Field, ForceField
from ncbench.models.loading import load_forcefield
from ncbench.structures.load import load_cases
from ncbench.types import ForceMode, ModelRequest, SystemRequest

Row = dict[str, Any]
Piece = Callable[[], float]
"""Makes some steps, and returns replica-steps per second."""


def water() -> Atoms:
    """The first snapshot of ``water64``."""
    return load_cases(SystemRequest(name="water64"), 1, 0)[0].atoms


def ours(field: Field, steps: int, *, scheme: Scheme | None = None) -> Piece:
    """Replica-steps per second of ncbench's engine, energies and temperatures recorded as nve-drift does."""
    scheme = scheme or Scheme()
    particles = Particles.from_structures(field.structures)
    noise = NoiseSource(0, range(field.n_replicas))
    momenta = draw_momenta(particles, noise.initial_normals((field.n_atoms, 3)), 300.0)
    dynamics = Dynamics(0.5 * scheme.stride, propagate=scheme.propagator(field.structures))
    outer = max(1, steps // scheme.stride)
    warm_up(field)

    def piece() -> float:
        began = 0.0

        def start() -> Any:
            nonlocal began
            state = initial_state(field, particles, momenta)
            began = now()
            return state

        series = EnergySeries(particles, n_steps=outer, stride=1, timestep_fs=0.5)
        run_md(field, particles, start, dynamics, noise, RunSettings(n_steps=outer), observers=[series])
        return outer * scheme.stride * field.n_replicas / (now() - began)

    return piece


def bare(field: Field, steps: int) -> Piece:
    """Force calls per second, at the positions of a trajectory."""
    warm_up(field)
    particles = Particles.from_structures(field.structures)
    noise = NoiseSource(0, range(field.n_replicas))
    momenta = draw_momenta(particles, noise.initial_normals((field.n_atoms, 3)), 300.0)
    state, path = initial_state(field, particles, momenta), []
    for _ in range(steps):
        state = Dynamics(0.5).step(state, field, particles, noise)
        path.append(state.positions)

    def piece() -> float:
        began = now()
        for positions in path:
            field(positions)
        return steps * field.n_replicas / (now() - began)

    return piece


def ase(model: str, steps: int, clock: Clock) -> Piece:
    """Steps per second of ASE's VelocityVerlet with the model's own calculator."""
    atoms = water()
    atoms.calc = load_forcefield(ModelRequest(spec=model)).ase_calculator()
    atoms.calc.calculate = clock.around(atoms.calc.calculate)
    dynamics = VelocityVerlet(atoms, timestep=0.5 * ase_units.fs)
    dynamics.run(2)

    def piece() -> float:
        began = now()
        dynamics.run(steps)
        return steps / (now() - began)

    return piece


IPI = """<simulation verbosity='quiet' threading='False' safe_stride='1000000'>
<output prefix='run'><properties stride='1' filename='out'> [ step, potential, kinetic_md ] </properties></output>
<total_steps> 1000000 </total_steps><prng><seed> 1 </seed></prng>
<ffdirect name='field'><pes> dummy </pes></ffdirect>
<system><initialize nbeads='1'>
<positions mode='manual'> {positions} </positions>
<masses mode='manual' units='dalton'> {masses} </masses><labels mode='manual'> {labels} </labels>
<cell mode='manual' units='angstrom'> {cell} </cell>
<velocities mode='thermal' units='kelvin'> 300 </velocities></initialize>
<forces><force forcefield='field'/></forces>
<ensemble><temperature units='kelvin'> 300 </temperature></ensemble>
<motion mode='dynamics'><fixcom> True </fixcom><dynamics mode='nve'><timestep units='femtosecond'> 0.5 </timestep></dynamics></motion>
</system></simulation>"""


class Clock:
    """Time spent inside a function of another program's, such as its force calls."""

    def __init__(self) -> None:
        self.seconds, self.calls = 0.0, 0

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, with its calls counted and their time added."""

        def timed(*arguments: Any, **keywords: Any) -> Any:
            began = now()
            result = function(*arguments, **keywords)
            self.seconds += now() - began
            self.calls += 1
            return result

        return timed

    def note(self) -> str:
        """What a call costs."""
        return f"of each step of the other program {1e3 * self.seconds / self.calls:.1f} ms are in its force call"


def ipi(field: Field, steps: int, clock: Clock) -> Piece:
    """Steps per second of i-PI in this process, with the same bound field."""
    from ipi.scripting import InteractiveSimulation

    def listed(values: Any) -> str:
        return "[" + ", ".join(f"{v:.16e}" for v in np.ravel(values)) + "]"

    atoms = field.structures[0]
    simulation = InteractiveSimulation(
        IPI.format(
            # i-PI takes positions that are given so in atomic units, whatever unit they name.
            positions=listed(atoms.positions / ase_units.Bohr),
            masses=listed(atoms.get_masses()),
            labels="[" + ", ".join(atoms.get_chemical_symbols()) + "]",
            cell=listed(np.asarray(atoms.cell).T),
        )
    )

    def driver(_cell: Any, positions: Any) -> tuple[float, Any, Any, str]:
        output = field(torch.as_tensor(positions.reshape(1, -1, 3) * ase_units.Bohr))
        forces = output.forces[0].numpy() * (ase_units.Bohr / ase_units.Hartree)
        return float(output.energy[0]) / ase_units.Hartree, forces, np.zeros((3, 3)), "{}"

    next(iter(simulation.fflist.values())).driver = clock.around(driver)
    simulation.run(2)
    moved = np.abs(simulation.syslist[0].beads.q[0].reshape(-1, 3) * ase_units.Bohr - atoms.positions).max()
    if moved > 0.5:
        # A squeezed or hot liquid has other pairs, and costs another time.
        raise RuntimeError(f"i-PI moved an atom by {moved:.1f} Å in two steps: it does not run the same structure.")

    def piece() -> float:
        began = now()
        simulation.run(steps)
        return steps / (now() - began)

    return piece


def ratio(section: str, what: str, first: Piece, second: Piece, rounds: int, unit: str = "times") -> Row:
    """Ratio of first to second, measured in turn."""
    pairs = [(first(), second()) for _ in range(rounds + 1)][1:]
    ratios = [a / b for a, b in pairs]
    a, b = (statistics.median(values) for values in zip(*pairs, strict=True))
    return {
        "section": section,
        "what": what,
        "value": statistics.median(ratios),
        "low": min(ratios),
        "high": max(ratios),
        "unit": unit,
        "note": f"{a:.4g} and {b:.4g} replica-steps a second, medians of {rounds} rounds",
    }


def overhead(quick: bool) -> list[Row]:
    """The loop around the model."""
    forcefield = load_forcefield(ModelRequest(spec="pet-m:direct"))
    steps, rounds = (5, 1) if quick else (60, 9)
    loop = ours(forcefield.bind([water()]), steps)
    what = "pet-m:direct, 192 atoms: velocity Verlet with its record, over bare force calls (1 is no overhead)"
    return [ratio("overhead", what, loop, bare(forcefield.bind([water()]), steps), rounds)]


def neighbours(quick: bool) -> list[Row]:
    """ASE and i-PI."""
    forcefield = load_forcefield(ModelRequest(spec="pet-m:direct"))
    steps, rounds = (5, 1) if quick else (40, 7)
    loop = ours(forcefield.bind([water()]), steps)
    what = "pet-m:direct, 192 atoms: steps over those of ASE's VelocityVerlet with the model's own calculator"
    clock = Clock()
    rows = [ratio("neighbours", what, loop, ase("pet-m:direct", steps, clock), rounds)]
    rows[0]["note"] += f"; {clock.note()}"
    working_folder = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)  # i-PI writes to the working folder
        try:
            clock = Clock()
            ipi_steps = ipi(forcefield.bind([water()]), steps, clock)
            what = "pet-m:direct, 192 atoms: steps over i-PI's with the same field"
            rows.append(ratio("neighbours", what, loop, ipi_steps, rounds))
            rows[1]["note"] += f"; {clock.note()}"
        finally:
            os.chdir(working_folder)
    return rows


def replicas(quick: bool) -> list[Row]:
    """R replicas in one call, or on several cores in batches that processes share."""
    forcefield = loaded("pet-m:direct")
    steps, rounds = (2, 1) if quick else (8, 5)
    one = ours(forcefield.bind([water()]), 8 * steps)
    return [
        ratio(
            f"replicas{on_cores()}",
            f"pet-m:direct, 192 atoms: replica-steps a second with R = {count} over R = 1{on_cores()}",
            side_by_side(forcefield, count, steps),
            one,
            rounds,
        )
        for count in ((8,) if quick else (8, 32))
    ]


def side_by_side(forcefield: ForceField, count: int, steps: int) -> Piece:
    """Replica-steps per second of ``count`` replicas: in one call, or in the default batches where processes share them."""
    structures = [water()] * count
    size = count if forcefield.card.processes == 1 else default_batch(forcefield, structures) or count
    pieces = [ours(forcefield.bind(structures[i : i + size]), steps) for i in range(0, count, size)]

    def piece() -> float:
        # Batches of equal size: the mean of rates is the harmonic one.
        return statistics.harmonic_mean([one() for one in pieces])

    return piece


def mts(quick: bool) -> list[Row]:
    """Cost of M = 8 relative to direct forces."""
    fast = load_forcefield(ModelRequest(spec="pet-m:direct"))
    right = fast.sibling(ForceMode.CONSERVATIVE)
    steps, rounds = (8, 1) if quick else (64, 7)
    direct, split = (
        ours(fast.bind([water()]), steps),
        ours(right.bind([water()]), steps, scheme=Scheme(fast=fast, stride=8)),
    )
    what = "pet-m, 192 atoms: cost of multiple time stepping with M = 8 over direct forces"
    return [ratio("mts", what, direct, split, rounds)]


def memory(quick: bool) -> list[Row]:
    """Growth of the process over a long run of a cheap field."""
    from ase.build import bulk

    atoms = bulk("Ar", "fcc", a=5.4, cubic=True)
    atoms.arrays["sites"] = atoms.positions.copy()
    field = load_forcefield(ModelRequest(spec="analytic-harmonic")).bind([atoms])
    ours(field, 1000)()
    # The recorded energies are part of the memory, and a longer stride keeps them small.
    particles, noise = Particles.from_structures([atoms]), NoiseSource(0, [0])
    momenta = draw_momenta(particles, noise.initial_normals((4, 3)), 300.0)
    steps = 2000 if quick else 100_000
    before = resident()
    run_md(
        field,
        particles,
        lambda: initial_state(field, particles, momenta),
        Dynamics(0.5),
        noise,
        RunSettings(n_steps=steps, sample_every=100),
        observers=[EnergySeries(particles, n_steps=steps, stride=100, timestep_fs=0.5)],
    )
    grown = (resident() - before) / 2**20
    return [
        {
            "section": "memory",
            "what": f"growth of the process over {steps} steps",
            "value": grown,
            "unit": "MiB",
            "note": "",
        }
    ]


SECTIONS = {"overhead": overhead, "neighbours": neighbours, "replicas": replicas, "mts": mts, "memory": memory}


def main() -> None:
    """Run the requested sections and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(SECTIONS), help="sections, separated by commas")
    parser.add_argument("--quick", action="store_true", help="small settings: does the script work?")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parents[1] / "results" / "bench")
    asked = parser.parse_args()
    prepare(asked.threads)
    rows: list[Row] = []
    for name in asked.only.split(","):
        rows += SECTIONS[name](asked.quick)
        print(f"{name}: done", flush=True)
    lines = listing(merged(asked.out / "md.csv", rows, "section"))
    text = "# Cost of dynamics\n\nMade by `benchmarks/bench_md.py`.\n\n" + "\n".join(lines) + "\n"
    (asked.out / "md.md").write_text(text, encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
