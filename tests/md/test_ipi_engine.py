"""i-PI as engine: the same trajectories, and bitwise identical results of resumed runs."""

from __future__ import annotations

import copy
import os
import signal
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from known_fields import Well, cluster

from ncbench.errors import UnsupportedError
from ncbench.md.ensemble import EnsembleRun, Scheme, run_ensemble
from ncbench.md.integrators import Dynamics
from ncbench.md.thermostats import make_thermostat

pytest.importorskip("ipi")
pytestmark = [
    # i-PI calls names that Python is about to drop, and leaves files to the garbage collector.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@dataclass(frozen=True)
class Settings:
    timestep_fs: float = 0.5
    temperature_K: float = 300.0
    sample_every: int = 1
    max_temperature_K: float = 1e4
    fix_com: bool = True
    redraw_momenta: bool = True


class Memory:
    def __init__(self) -> None:
        self.state = None

    def load(self):
        return copy.deepcopy(self.state)

    def save(self, state) -> None:
        self.state = copy.deepcopy(dict(state))


ATOMS = cluster("H2OH2O", spread=0.05)


def run(
    engine: str, *, steps: int, thermostat: str = "", stride: int = 1, memory: Memory | None = None, **more
) -> EnsembleRun:
    settings = Settings(**more)
    scheme = Scheme(fast=Well(4.0, 0.5), stride=stride) if stride > 1 else Scheme()
    dynamics = Dynamics(
        settings.timestep_fs * stride, make_thermostat(thermostat, settings.temperature_K) if thermostat else None
    )
    return run_ensemble(
        Well(5.0, 0.2), [ATOMS], [0], dynamics, settings, n_steps=steps, seed=3, label=f"t{thermostat}",
        checkpoint=memory or Memory(), report=lambda step, note: None, scheme=scheme, engine=engine,
    )  # fmt: skip


@pytest.mark.parametrize("stride", [1, 4])
def test_positions_equal_those_of_the_native_engine(stride: int) -> None:
    computed, reference = (run(engine, steps=200, stride=stride).result.state for engine in ("own", "i-pi"))
    # 200 (800 inner) steps of a stable linear map, and the conversion of units; 1e-5 Å is asked for.
    np.testing.assert_allclose(reference.positions.numpy(), computed.positions.numpy(), atol=1e-9)
    np.testing.assert_allclose(reference.momenta.numpy(), computed.momenta.numpy(), atol=1e-9)
    np.testing.assert_allclose(reference.energy.numpy(), computed.energy.numpy(), atol=1e-9)
    assert reference.step == computed.step == 200


@pytest.mark.parametrize(
    ("thermostat", "stride"), [("", 1), ("", 4), ("langevin:50", 1), ("svr:20", 1), ("gle", 1), ("svr:20", 4)]
)
def test_a_resumed_run_gives_identical_results(thermostat: str, stride: int) -> None:
    whole = run("i-pi", steps=24, thermostat=thermostat, stride=stride)
    memory = Memory()
    for steps in (7, 8, 24):
        cut = run("i-pi", steps=steps, thermostat=thermostat, stride=stride, memory=memory)
    assert np.array_equal(cut.series.potential, whole.series.potential)
    assert np.array_equal(cut.series.species_kinetic, whole.series.species_kinetic)
    assert np.array_equal(cut.series.heat, whole.series.heat)
    assert np.array_equal(cut.result.state.positions.numpy(), whole.result.state.positions.numpy())


def test_seeds_and_labels_give_independent_noise() -> None:
    first, second = (
        run("i-pi", steps=3, thermostat=name).series.kinetic for name in ("langevin:50", "langevin:50.0001")
    )
    assert not np.allclose(first[1:], second[1:], rtol=1e-3)


def test_i_pi_restores_signal_handlers_and_leaves_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    run("i-pi", steps=3, thermostat="svr:20")
    assert list(tmp_path.iterdir()) == []
    assert Path(os.getcwd()) == tmp_path  # noqa: PTH109
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers


def test_features_missing_in_i_pi_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="rescaling"):
        run_ensemble(
            Well(), [ATOMS], [0], Dynamics(0.5), Settings(), n_steps=2, seed=0, label="x", checkpoint=Memory(),
            report=lambda step, note: None, scheme=Scheme(rescale=True), engine="i-pi",
        )  # fmt: skip


def test_an_explosion_ends_only_the_replica() -> None:
    result = run("i-pi", steps=50, max_temperature_K=1.0)
    assert result.result.exploded_step[0] >= 0
