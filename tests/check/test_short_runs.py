"""Drifts of runs too short for a known error decide nothing; metrics that are refused fail a strict check."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from ase import Atoms
from ase.build import molecule
from ase.calculators.emt import EMT
from ase.constraints import FixAtoms

from ncbench.check import baseline, judge, limits, outputs
from ncbench.check import suite as suites
from ncbench.check.baseline import Baseline
from ncbench.check.judge import State, compare
from ncbench.check.limits import Verdict
from ncbench.check.metrics import Measured, measure
from ncbench.check.outputs import CheckResult
from ncbench.check.suite import Suite
from ncbench.check.unmeasured import NOT_IN_SUITE, refused
from ncbench.diagnostics import nve_drift
from ncbench.diagnostics.base import Context
from ncbench.models.in_process import named
from ncbench.models.loading import load_forcefield
from ncbench.run.plan import apply_overrides
from ncbench.structures.load import load_cases
from ncbench.types import Budget, Case, ModelRequest, SystemRequest

QUICK = suites.SETTINGS[Suite.QUICK]["nve-drift"]
CONSTRAINTS = "The structure has constraints (FixAtoms), which the integrators do not support."


def drift_of(forcefield: Any, case: Case, seed: int, context: Context) -> Measured:
    settings = apply_overrides(nve_drift.DIAGNOSTIC.presets[Budget.SMOKE], QUICK, "nve-drift")
    rows = nve_drift.run(forcefield, [case], settings, seed=seed, context=context).rows
    return measure({"nve-drift": rows})["drift"]


def verdict(text: str, metrics: dict[str, Measured]) -> Verdict:
    return limits.judge([limits.parse(text)], metrics)[0].verdict
