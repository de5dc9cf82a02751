"""From requests to jobs, and errors of invalid requests."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

import pytest

from ncbench.errors import UsageError
from ncbench.run.plan import apply_overrides, load_suite, plan_jobs
from ncbench.structures import systems
from ncbench.types import Budget, ModelRequest, SystemRequest

LJ, HARMONIC = ModelRequest(spec="analytic-lj"), ModelRequest(spec="analytic-harmonic")


class Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True)
class Settings:
    x: float = 1.0
    n: int | None = 3
    names: tuple[str, ...] = ()
    way: Literal["left", "right"] = "left"
    colour: Colour = Colour.RED
    on: bool = False


def test_jobs_of_a_model_are_adjacent():
    jobs = plan_jobs(["lambda", "workloop"], [LJ, HARMONIC], None, budget=Budget.SMOKE, seeds=[0, 1])
    assert [(job.model.spec, job.diagnostic, job.seed) for job in jobs] == [
        (model, diagnostic, seed)
        for model in ("analytic-lj", "analytic-harmonic")
        for diagnostic in ("lambda", "workloop")
        for seed in (0, 1)
    ]
    assert {job.system.name for job in jobs} == {"water64"}


def test_overrides_reach_the_settings_and_the_budget_gives_the_rest():
    overrides = {"lambda": {"method": "exact", "probes": 7}}
    (job,) = plan_jobs(["lambda"], [LJ], SystemRequest(name="argon"), budget=Budget.PAPER, overrides=overrides)
    assert (job.settings.method, job.settings.probes, job.settings.resolve) == ("exact", 7, "pairs")
    assert job.default_structures == 8


def test_values_are_converted_to_field_types():
    made = apply_overrides(
        Settings(), {"x": 2, "n": None, "names": ["a"], "way": "right", "colour": "red", "on": True}, "d"
    )
    assert made == Settings(x=2.0, n=None, names=("a",), way="right", colour=Colour.RED, on=True)
    assert isinstance(made.x, float)


@pytest.mark.parametrize("seed", [-1, 2**63, 1.5, "1", True])
def test_seeds_that_tables_cannot_hold_are_refused(seed):
    with pytest.raises(UsageError, match="is not a whole number between 0 and 9223372036854775807"):
        plan_jobs(["lambda"], [LJ], SystemRequest(name="argon"), budget=Budget.SMOKE, seeds=[seed])


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"xx": 1}, "Did you mean|It has: x"),
        ({"name": ["a"]}, "Did you mean 'names'"),
        ({"x": "wide"}, "It is a float"),
        ({"x": True}, "It is a float"),
        ({"n": 1.5}, "It is an int"),
        ({"way": "rigth"}, "Did you mean 'right'"),
        ({"colour": "green"}, "Choose from red"),
        ({"on": 1}, "It is a bool"),
        ({"names": [1]}, "It is a str"),
    ],
)
def test_values_of_a_wrong_type_are_refused(overrides, message):
    with pytest.raises(UsageError, match=message):
        apply_overrides(Settings(), overrides, "d")


SUITE = """
[suite]
name = "s"
budget = "smoke"
[[run]]
diagnostics = ["lambda"]
models = ["analytic-lj", "analytic-harmonic"]
system = "argon"
structures = 2
seeds = [3]
[run.settings.lambda]
probes = 9
"""


def test_suite_file_is_planned(tmp_path):
    path = tmp_path / "s.toml"
    path.write_text(SUITE)
    jobs = load_suite(path)
    assert [job.model.spec for job in jobs] == ["analytic-lj", "analytic-harmonic"]
    assert all((job.seed, job.settings.probes, job.system.structures) == (3, 9, 2) for job in jobs)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("[[run]]", "[[runs]]"), "Did you mean 'run'"),
        (("diagnostics =", "diagnostcs ="), "Did you mean 'diagnostics'"),
        (('"lambda"]', '"lamda"]'), "lamda"),
        (("probes = 9", "probs = 9"), "Did you mean 'probes'"),
        (("probes = 9", 'probes = "many"'), "It is an int"),
        (('"smoke"', '"smok"'), "smok"),
        (("[run.settings.lambda]", "[run.settings.workloop]"), "unknown key 'workloop'"),
        (('system = "argon"', 'system = "argon"\nstructure = "x.xyz"'), "both"),
        (("[suite]", "[suite"), "not a TOML"),
    ],
)
def test_errors_of_a_suite_are_named(change, message, tmp_path):
    path = tmp_path / "s.toml"
    path.write_text(SUITE.replace(*change))
    with pytest.raises(UsageError, match=message) as caught:
        load_suite(path)
    assert "s.toml" in str(caught.value)


def test_a_named_system_sets_temperature_and_time_step() -> None:
    def settings(system: str, **overrides: float) -> Any:
        (job,) = plan_jobs(
            ["nve-drift"],
            [ModelRequest(spec="analytic-lj")],
            SystemRequest(name=system),
            budget=Budget.SMOKE,
            overrides={"nve-drift": overrides},
        )
        return job.settings

    argon = systems.get("argon")
    assert (argon.temperature_K, argon.timestep_fs) == (30.0, 5.0)
    assert (settings("argon").temperature_K, settings("argon").timestep_fs) == (30.0, 5.0)
    assert settings("argon", timestep_fs=2.0, temperature_K=40.0).timestep_fs == 2.0
    assert settings("argon", timestep_fs=2.0, temperature_K=40.0).temperature_K == 40.0
    assert settings("argon", timesteps=(1.0, 2.0)).timestep_fs == 0.5
