"""``auto`` takes differences where products cost much more, and few products where they suffice."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from hidden_curls import HiddenCurl, HiddenCurlField, atoms_of

from ncbench.diagnostics import lambda_
from ncbench.jacobian.probes import normal
from ncbench.jacobian.product_cost import DIFFERENCES_OVERHEAD, first_products, largest_cost, rounding_copies
from ncbench.jacobian.settings import LambdaSettings
from ncbench.models.interface import Linearization
from ncbench.types import Case, ForceMode

WORK = 60
"""Units of work of the more expensive of a force call and a product."""


class Work:
    """A clock that counts units of work, so that the load of the machine changes no choice."""

    def __init__(self) -> None:
        self.done = 0

    def process_time(self) -> float:
        return float(self.done)

    perf_counter = process_time


WORKED = Work()


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """Measured costs are ratios of units of work; 0.01 s of a unit is far above what is too short to be timed."""
    monkeypatch.setattr("ncbench.jacobian.product_cost.time", WORKED)


def row_of(forcefield, atoms, context, **settings):
    context.checkpoint.state = None
    return lambda_.run(forcefield, [Case("a", atoms)], LambdaSettings(**settings), seed=0, context=context).rows[0]


def work(amount: int) -> None:
    WORKED.done += amount


class PricedLinearization(Linearization):
    def __init__(self, inner: Linearization, price: int) -> None:
        self.inner, self.price, self.forces = inner, price, inner.forces

    def vjp(self, cotangents):
        work(self.price)
        return self.inner.vjp(cotangents)

    def jvp(self, tangents):
        work(self.price)
        return self.inner.jvp(tangents)


class PricedField(HiddenCurlField):
    def compute(self, positions, cells):
        if not self.owner.gradient:
            return super().compute(positions, cells)
        away = positions[:, :, None, :] - positions[:, None, :, :]
        return 6.0 * (-away.square().sum(-1) / 4.0).exp().sum(dim=(1, 2)), None

    def __call__(self, positions):
        work(self.owner.force_work)
        return super().__call__(positions)

    def linearize(self, positions):
        return PricedLinearization(super().linearize(positions), self.owner.product_work)


class Priced(HiddenCurl):
    """A repulsion with a curl that autograd sees, or Σ_{i<j} 12 exp(−r²/4) with forces by autograd; a product costs ``ratio`` force calls."""

    def __init__(self, ratio: float, *, gradient: bool = False) -> None:
        super().__init__("detached", hidden=False)
        self.gradient = gradient
        self.force_work = round(WORK / max(1.0, ratio))
        self.product_work = round(self.force_work * ratio)
        if gradient:
            mode = ForceMode.CONSERVATIVE
            self.card = replace(self.card, force_mode=mode, force_modes=(mode,))

    def _bind(self, structures):
        return PricedField(structures, self)


def ticking(*seconds: float):
    """A clock by which the measured calls take these times in turn."""
    ends = itertools.chain.from_iterable((0.0, s) for s in seconds)
    return ends.__next__


def first(clock, suspicious, atoms: Atoms | None = None):
    return first_products(
        HiddenCurl("detached", hidden=False),
        atoms_of() if atoms is None else atoms,
        batch=8,
        rng=np.random.default_rng(0),
        draw=normal,
        suspicious=suspicious,
        clock=clock,
    )


def test_the_cost_is_the_ratio_of_measured_times():
    # A product of 1.5 s, a force call of 1 s, of as many copies each.
    assert first(ticking(1.5, 1.0), 2.0).cost == pytest.approx(1.5)


def test_a_product_that_compiles_first_is_measured_again():
    """Only the first measurement exceeds the limit: it contains the compilation."""
    measured = first(ticking(9.0, 1.0, 1.5, 1.0, 1.2, 0.8), 2.0)
    assert measured.cost == pytest.approx(1.2 / 0.8)
    # One copy of 24 coordinates: a linearization and a force call. Repetitions depend on the machine's speed, and the rows must not.
    assert measured.force_calls == 2


def test_few_coordinates_are_measured_with_several_copies():
    assert [rounding_copies(n, 8) for n in (1, 2, 3, 8, 100)] == [8, 4, 3, 1, 1]
    assert rounding_copies(1, 2) == 2
    assert first(None, None, atoms_of(n=2)).products.shape == (4, 2, 3)


@pytest.mark.parametrize(("ratio", "method"), [(0.1, "exact"), (2.0, "exact"), (15.0, "finite-difference")])
def test_auto_takes_the_cheaper_way_of_a_direct_model(ratio, method, context):
    """The whole Jacobian of 8 atoms: 24 products, or 48 + 28 calls; differences must be 1.5 times faster, at 4.75 calls a product."""
    assert largest_cost(24, 24) == pytest.approx(1.5 * (48 + DIFFERENCES_OVERHEAD) / 24) == pytest.approx(4.75)
    row = row_of(Priced(ratio), atoms_of(), context)
    assert row["method"] == method
    assert ("force calls: measured by differences" in row["note"]) == (method == "finite-difference")
    # Recorded only where it decides: rows of two runs are otherwise alike.
    assert (row["product_cost"] is None) == (method == "exact")
    if method == "finite-difference":
        assert row["product_cost"] == pytest.approx(ratio, rel=0.5)
    demanded = row_of(Priced(ratio), atoms_of(), context, method="exact")
    assert (demanded["method"], demanded["product_cost"]) == ("exact", None)
    # Differences in float64 at 1e-4 Å: truncation h²f‴/6 below 1e-7 of J.
    assert row["lambda"] == pytest.approx(demanded["lambda"], rel=1e-6)


@pytest.mark.parametrize(("ratio", "differences"), [(1.0, False), (30.0, True)])
def test_auto_takes_the_cheaper_way_of_random_probes(ratio, differences, context):
    row = row_of(Priced(ratio), atoms_of(), context, exact_max_atoms=0)
    assert row["method"] == "stochastic"
    assert (row["step_A"] is not None) == differences


def test_a_gradient_is_measured_by_few_products(context):
    row = row_of(Priced(2.0, gradient=True), atoms_of(), context)
    assert (row["method"], row["resolved"], row["note"]) == ("stochastic", "gradient", "")
    # Eight probes and the product with new rounding; the shift's two calls, two of the first product, four copies, and one step of the check.
    assert (row["products"], row["force_calls"]) == (9, 2 + 2 + 4 + 2)
    whole = row_of(Priced(2.0, gradient=True), atoms_of(), context, resolve="atoms")
    assert (whole["method"], whole["resolved"]) == ("exact", "gradient")
    # ‖J‖² from eight probes: relative error √(2 tr(JᵀJ)² / (tr JᵀJ)² / 8) of at most 0.5, half of it in ‖J‖.
    assert row["jacobian_norm_eV_per_A2"] == pytest.approx(whole["jacobian_norm_eV_per_A2"], rel=0.5)


def test_expensive_products_of_a_gradient_are_replaced(context):
    """Eight products against 48 + 28 calls: differences are preferred from 14 calls a product."""
    assert largest_cost(8, 24) == pytest.approx(14.25)
    row = row_of(Priced(60.0, gradient=True), atoms_of(), context)
    assert row["method"] == "finite-difference"


def test_forces_declared_conservative_that_are_not_get_the_whole_jacobian(context):
    forcefield = HiddenCurl("detached", hidden=False)
    mode = ForceMode.CONSERVATIVE
    truth = row_of(forcefield, atoms_of(), context, method="exact")
    forcefield.card = replace(forcefield.card, force_mode=mode, force_modes=(mode,))
    row = row_of(forcefield, atoms_of(), context)
    assert (row["method"], row["resolved"]) == ("exact", "nonzero")
    assert row["lambda"] == pytest.approx(truth["lambda"], rel=1e-9)
    # The products that did not suffice are counted.
    assert row["products"] == 24 + 4 + 9


def test_two_runs_agree_in_every_column_but_the_time(context):
    rows = [row_of(Priced(1.0, gradient=gradient), atoms_of(), context) for gradient in (False, True) for _ in range(2)]
    for row in rows:
        row.pop("seconds")
    assert rows[0] == rows[1]
    assert rows[2] == rows[3]
