"""i-PI as reference: the same initial state, forces and, for thermostats, random numbers."""

from __future__ import annotations

import signal

import numpy as np
import pytest
import torch
from ase import units as ase_units
from known_fields import WellField, cluster

from ncbench.md.integrators import Dynamics
from ncbench.md.mts import MultipleTimeStep
from ncbench.md.random import NoiseSource
from ncbench.md.state import Particles, draw_momenta, initial_state, kinetic_energy
from ncbench.md.thermostats import make_thermostat
from ncbench.units import FS, KB

pytestmark = [
    pytest.mark.slow,
    # i-PI calls names that Python is about to drop, and leaves files to the garbage collector.
    pytest.mark.filterwarnings("ignore::DeprecationWarning:ipi"),
    pytest.mark.filterwarnings("ignore:currentThread:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

BOHR, HARTREE = ase_units.Bohr, ase_units.Hartree
TIME = BOHR / np.sqrt(HARTREE)
"""Å·√(u/Hartree), in Å·√(u/eV): with masses in u, energies in Hartree and lengths in Bohr this is the unit of time, and no constant of nature enters the comparison."""
STEPS, DT_FS, T = 200, 1.0, 300.0
MOMENTUM = np.sqrt(HARTREE)

XML = """<simulation verbosity='quiet' threading='False' safe_stride='1000000'>
<output prefix='run'><properties stride='1000000' filename='out'> [ step ] </properties></output>
<total_steps> {steps} </total_steps><prng><seed> 1 </seed></prng>
<ffdirect name='field'><pes> dummy </pes></ffdirect>
<system>
<initialize nbeads='1'>
<positions mode='manual'> {positions} </positions><momenta mode='manual'> {momenta} </momenta>
<masses mode='manual'> {masses} </masses><labels mode='manual'> {labels} </labels>
<cell mode='manual'> [100, 0, 0, 0, 100, 0, 0, 0, 100] </cell>
</initialize>
<forces><force forcefield='field'/></forces>
<ensemble><temperature> {kT} </temperature></ensemble>
<motion mode='dynamics'><fixcom> True </fixcom>
<dynamics mode='{mode}'><timestep> {timestep} </timestep>{thermostat}</dynamics></motion>
</system></simulation>"""


class OurNumbers:
    """i-PI's generator with our draws in it."""

    def __init__(self, noise: NoiseSource, n_atoms: int) -> None:
        self.noise, self.n_atoms, self.calls = noise, n_atoms, 0

    def _half(self):
        self.calls += 1
        return divmod(self.calls - 1, 2)

    def gvec(self, shape):
        step, half = self._half()
        assert shape == 3 * self.n_atoms
        return self.noise.normals(step, (self.n_atoms, 3))[half, 0].numpy().ravel()

    @property
    def g(self):
        self.drawn = self._half()
        return float(self.noise.normals(self.drawn[0], ())[self.drawn[1], 0])

    def gamma(self, k):
        return float(self.noise.gammas(self.drawn[0], k)[self.drawn[1], 0])


@pytest.fixture
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    handlers = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


def listed(values) -> str:
    return "[" + ", ".join(f"{v:.17e}" for v in np.ravel(values)) + "]"


@pytest.mark.usefixtures("in_a_folder_of_its_own")
@pytest.mark.parametrize("thermostat", ["none", "langevin:20", "svr:20"])
def test_trajectory_equals_that_of_i_pi(thermostat):
    pytest.importorskip("ipi")
    from ipi.scripting import InteractiveSimulation

    atoms = cluster("H2OH2O", spread=0.05)
    field = WellField([atoms], 5.0, 0.2)
    particles = Particles.from_structures([atoms])
    noise = NoiseSource(9, [0], label=thermostat)
    state = initial_state(field, particles, draw_momenta(particles, noise.initial_normals((6, 3)), T))
    name, _, tau = thermostat.partition(":")
    block = f"<thermostat mode='{name}'><tau> {float(tau) * FS / TIME:.17e} </tau></thermostat>" if tau else ""
    simulation = InteractiveSimulation(
        XML.format(
            steps=STEPS,
            positions=listed(atoms.positions / BOHR),
            momenta=listed(state.momenta[0].numpy() / MOMENTUM),
            masses=listed(atoms.get_masses()),
            labels="[" + ", ".join(atoms.get_chemical_symbols()) + "]",
            kT=f"{KB * T / HARTREE:.17e}",
            timestep=f"{DT_FS * FS / TIME:.17e}",
            mode="nvt" if tau else "nve",
            thermostat=block,
        )
    )

    def theirs(cell, positions):
        output = field(torch.as_tensor(positions.reshape(1, -1, 3) * BOHR))
        forces = output.forces[0].numpy() * (BOHR / HARTREE)
        return float(output.energy[0]) / HARTREE, forces, np.zeros((3, 3)), "{}"

    next(iter(simulation.fflist.values())).driver = theirs
    motion = simulation.syslist[0].motion
    if tau:
        motion.thermostat.prng = OurNumbers(NoiseSource(9, [0], label=thermostat), 6)
    dynamics = Dynamics(DT_FS, make_thermostat(thermostat, T) if tau else None)
    mass = float(particles.masses[0, :, 0].sum())
    constants, removed = [], 0.0
    for _ in range(STEPS):
        before = float(field(state.positions).forces.sum(1).square().sum())
        state = dynamics.step(state, field, particles, noise)
        after = float(field(state.positions).forces.sum(1).square().sum())
        simulation.run(1, write_outputs=False)
        beads = simulation.syslist[0].beads
        # 200 steps of a stable linear map: 1e-16 a step, and as much for the conversion of units.
        np.testing.assert_allclose(np.array(beads.q[0]).reshape(-1, 3) * BOHR, state.positions[0].numpy(), atol=1e-10)
        np.testing.assert_allclose(np.array(beads.p[0]).reshape(-1, 3) * MOMENTUM, state.momenta[0].numpy(), atol=1e-10)
        computed = float(state.energy + kinetic_energy(state.momenta, particles) - state.heat)
        # i-PI applies each kick to the centre of mass, then removes and records it; here the forces are projected first.
        removed += (before + after) * (0.5 * DT_FS * FS) ** 2 / (2 * mass)
        constants.append(float(simulation.syslist[0].ensemble.econs) * HARTREE - computed - removed)
    # The conserved quantities have the same zero, too.
    assert max(map(abs, constants)) < 1e-9
    assert removed > 1e-3


MTS_XML = (
    XML.replace(
        "<ffdirect name='field'><pes> dummy </pes></ffdirect>",
        "<ffdirect name='fast'><pes> dummy </pes></ffdirect><ffdirect name='slow'><pes> dummy </pes></ffdirect>",
    )
    .replace(
        "<force forcefield='field'/>",
        "<force forcefield='slow'><mts_weights> [1, 0] </mts_weights></force>"
        "<force forcefield='fast'><mts_weights> [0, 1] </mts_weights></force>",
    )
    .replace("</timestep>", "</timestep><nmts> [1, 4] </nmts>")
)


@pytest.mark.usefixtures("in_a_folder_of_its_own")
def test_multiple_time_stepping_equals_that_of_i_pi():
    pytest.importorskip("ipi")
    from ipi.scripting import InteractiveSimulation

    atoms = cluster("H2OH2O", spread=0.05)
    right, fast = WellField([atoms], 5.0, 0.0), WellField([atoms], 4.0, 0.5)
    particles = Particles.from_structures([atoms])
    noise = NoiseSource(9, [0], label="mts")
    state = initial_state(right, particles, draw_momenta(particles, noise.initial_normals((6, 3)), T))
    simulation = InteractiveSimulation(
        MTS_XML.format(
            steps=STEPS,
            positions=listed(atoms.positions / BOHR),
            momenta=listed(state.momenta[0].numpy() / MOMENTUM),
            masses=listed(atoms.get_masses()),
            labels="[" + ", ".join(atoms.get_chemical_symbols()) + "]",
            kT=f"{KB * T / HARTREE:.17e}",
            timestep=f"{4 * DT_FS * FS / TIME:.17e}",
            mode="nve",
            thermostat="",
        )
    )

    def driver(kind):
        def call(cell, positions):
            at = torch.as_tensor(positions.reshape(1, -1, 3) * BOHR)
            cheap, whole = fast(at), right(at)
            forces = cheap.forces if kind == "fast" else whole.forces - cheap.forces
            energy = cheap.energy if kind == "fast" else whole.energy - cheap.energy
            return float(energy[0]) / HARTREE, forces[0].numpy() * (BOHR / HARTREE), np.zeros((3, 3)), "{}"

        return call

    for name in ("fast", "slow"):
        simulation.fflist[name].driver = driver(name)
    dynamics = Dynamics(4 * DT_FS, propagate=MultipleTimeStep(fast, 4))
    for _ in range(STEPS):
        state = dynamics.step(state, right, particles, noise)
        simulation.run(1, write_outputs=False)
    beads = simulation.syslist[0].beads
    # 800 steps of a stable linear map, and the conversion of units.
    np.testing.assert_allclose(np.array(beads.q[0]).reshape(-1, 3) * BOHR, state.positions[0].numpy(), atol=1e-9)
    np.testing.assert_allclose(np.array(beads.p[0]).reshape(-1, 3) * MOMENTUM, state.momenta[0].numpy(), atol=1e-9)
