"""Requirements on every adapter, as checks that can be run on any adapter.

    from ncbench.models.conformance import run_conformance
    run_conformance(my_forcefield, structures)

Each check raises AssertionError with the numbers in it. Tolerances follow from the model's arithmetic: ε = 1.2e-7 in float32 and
2.2e-16 in float64, forces of some eV/Å, stiffnesses of some tens of eV/Å².
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from ase import Atoms
from numpy.typing import NDArray

from ncbench.errors import NotDifferentiableError, StructureError, UnsupportedError
from ncbench.models.interface import Field, ForceField
from ncbench.types import ForceMode

FloatArray = NDArray[np.float64]
FORCE_TOLERANCE = {"float32": 1e-4, "float64": 1e-9}
"""eV/Å, between two computations of the same forces: a coordinate of 10 Å has a rounding error of 1e-6 Å in float32, which a stiff
bond turns into 5e-5 eV/Å."""
STEP_A = {"float32": 5e-3, "float64": 1e-4}
"""Step of difference quotients, see ncbench.jacobian.dense."""


def run_conformance(forcefield: ForceField, structures: Sequence[Atoms], *, seed: int = 0) -> None:
    """All checks on all structures. ``structures`` should have at least two sizes, and elements that the model knows."""
    rng = np.random.default_rng(seed)
    for check in CHECKS:
        check(forcefield, structures, rng)


def check_shapes(forcefield: ForceField, structures: Sequence[Atoms], _rng: np.random.Generator) -> None:
    """Float64 results of the right shapes; the structures are not modified."""
    before = [atoms.copy() for atoms in structures]
    for atoms, kept, result in zip(structures, before, forcefield.evaluate(structures), strict=True):
        assert result.forces.shape == (len(atoms), 3), f"forces have the shape {result.forces.shape}"
        assert result.forces.dtype == np.float64, f"forces are {result.forces.dtype}"
        assert np.isfinite(result.forces).all(), "forces are not finite"
        assert math.isfinite(result.energy) == forcefield.card.has_energy, f"energy is {result.energy}"
        assert atoms == kept, "evaluate changed the structure"


def check_batches(forcefield: ForceField, structures: Sequence[Atoms], _rng: np.random.Generator) -> None:
    """A batch gives the same results as single evaluations."""
    together = forcefield.evaluate(structures)
    for atoms, result in zip(structures, together, strict=True):
        alone = forcefield.evaluate([atoms])[0]
        _close(forcefield, result.forces, alone.forces, "a structure's forces depend on its batch")
        _same_energy(forcefield, atoms, result.energy, alone.energy, "a structure's energy depends on its batch")


def check_binding(forcefield: ForceField, structures: Sequence[Atoms], rng: np.random.Generator) -> None:
    """A bound field gives what ``evaluate`` gives, at the bound positions and at others, and keeps its replicas apart."""
    for atoms in structures:
        moved = atoms.copy()
        moved.positions += rng.normal(scale=0.02, size=moved.positions.shape)
        field = forcefield.bind([atoms, moved])
        positions = field.initial_positions()
        assert positions.dtype == torch.float64
        assert positions.shape == (2, len(atoms), 3)
        for order in ([atoms, moved], [moved, atoms]):
            at = torch.as_tensor(np.stack([a.positions for a in order]), device=field.device)
            out = field(at)
            for replica, result in enumerate(forcefield.evaluate(_like(order, field.structures))):
                _close(
                    forcefield, out.forces[replica].cpu().numpy(), result.forces, "a bound field and evaluate disagree"
                )
        again = field(positions)
        assert not again.forces.requires_grad, "a field's forces are attached to an autograd graph"
        assert torch.equal(field.initial_positions(), positions), "a call moved the bound structures"


def check_skin(forcefield: ForceField, structures: Sequence[Atoms], rng: np.random.Generator) -> None:
    """A field called at many positions agrees with a new one: neighbour lists are updated as atoms move."""
    for atoms in structures:
        field = forcefield.bind([atoms])
        at = field.initial_positions()
        for _ in range(6):
            at = at + torch.as_tensor(rng.normal(scale=0.08, size=tuple(at.shape)), device=field.device)
            field(at)
        fresh = atoms.copy()
        fresh.positions = at[0].cpu().numpy()
        result = forcefield.bind(_like([fresh], [atoms]))(at)
        _close(
            forcefield,
            field(at).forces[0].cpu().numpy(),
            result.forces[0].cpu().numpy(),
            "a field called at many positions disagrees with a new one",
        )


def check_symmetries(forcefield: ForceField, structures: Sequence[Atoms], rng: np.random.Generator) -> None:
    """Forces are equivariant under permutations of the atoms and invariant under translations (sites are translated too)."""
    for atoms in structures:
        reference = forcefield.evaluate([atoms])[0].forces
        order = rng.permutation(len(atoms))
        _close(
            forcefield,
            forcefield.evaluate([atoms[order]])[0].forces,
            reference[order],
            "forces are not permutation-equivariant",
        )
        moved = atoms.copy()
        shift = rng.normal(scale=2.0, size=3)
        moved.positions += shift
        if "sites" in moved.arrays:
            moved.arrays["sites"] = moved.arrays["sites"] + shift
        _close(forcefield, forcefield.evaluate([moved])[0].forces, reference, "forces are not translation-invariant")


def check_gradient(forcefield: ForceField, structures: Sequence[Atoms], rng: np.random.Generator) -> None:
    """Forces declared conservative are minus the derivative of the energy, along random directions."""
    if forcefield.card.force_mode is not ForceMode.CONSERVATIVE or not forcefield.card.has_energy:
        return
    for atoms in structures:
        forces = forcefield.evaluate([atoms])[0].forces
        for _ in range(3):
            direction = rng.normal(size=forces.shape)
            direction /= np.linalg.norm(direction)

            def moved(by: float, atoms: Atoms = atoms, direction: FloatArray = direction) -> Atoms:
                return _displaced(atoms, by * direction)

            # Truncation: h²/6 of a third derivative of some 500 eV/Å³.
            _slope(forcefield, moved, -float(np.sum(forces * direction)), 100.0, "∂V/∂v")


def check_net_force(forcefield: ForceField, structures: Sequence[Atoms], _rng: np.random.Generator) -> None:
    """No net force where the card says that it is removed."""
    if forcefield.card.net_force_removed:
        for atoms in structures:
            net = np.abs(forcefield.evaluate([atoms])[0].forces.sum(axis=0)).max()
            assert net < 1e-6 * len(atoms), f"net force of {net:.3g} eV/Å"


def check_products(forcefield: ForceField, structures: Sequence[Atoms], rng: np.random.Generator) -> None:
    """Jacobian products are adjoint to each other and equal to difference quotients, or are refused if the card says not differentiable."""
    atoms = structures[0]
    field = forcefield.bind([atoms, _displaced(atoms, rng.normal(scale=0.02, size=(len(atoms), 3)))])
    positions = field.initial_positions()
    if not forcefield.card.differentiable:
        try:
            field.linearize(positions)
        except NotDifferentiableError:
            return
        raise AssertionError("the card says not differentiable, but the field linearises")
    linearization = field.linearize(positions)
    _close(
        forcefield,
        linearization.forces.cpu().numpy(),
        field(positions).forces.cpu().numpy(),
        "linearised forces differ",
    )
    u, v = (torch.as_tensor(rng.normal(size=tuple(positions.shape)), device=field.device) for _ in range(2))
    forward, backward = linearization.jvp(u), linearization.vjp(v)
    left, right = (v * forward).sum(dim=(1, 2)), (backward * u).sum(dim=(1, 2))
    scale = float((forward.norm() * v.norm()).item())
    tolerance = 1e-4 if forcefield.card.dtype == "float32" else 1e-10
    assert float((left - right).abs().max()) <= tolerance * scale, f"vᵀ(Ju) = {left} but (Jᵀv)ᵀu = {right}"
    unit = u / u.norm(dim=(1, 2), keepdim=True) * math.sqrt(len(atoms))
    exact = linearization.jvp(unit)
    error = min(_quotient_error(field, positions, unit, exact, STEP_A[forcefield.card.dtype] / by) for by in (1, 5, 25))
    assert error < {"float32": 0.05, "float64": 1e-3}[forcefield.card.dtype], (
        f"Ju differs from differences by {error:.2g}"
    )


def _quotient_error(field: Field, at: torch.Tensor, unit: torch.Tensor, exact: torch.Tensor, step: float) -> float:
    """‖Δf/2h − Ju‖ / ‖Ju‖. The best of three steps counts: a long one may cross the jump where a model with a fixed number of
    neighbours exchanges one of them, a short one is dominated by rounding; a wrong Ju is wrong at all three.
    """
    quotient = (field(at + step * unit).forces - field(at - step * unit).forces) / (2 * step)
    return float((quotient - exact).norm() / exact.norm().clamp(min=1e-12))


def check_stress(forcefield: ForceField, structures: Sequence[Atoms], rng: np.random.Generator) -> None:
    """The stress is the strain derivative of the energy over the volume, where there is one."""
    periodic = [atoms for atoms in structures if atoms.pbc.all()]
    if not forcefield.card.has_stress or forcefield.card.force_mode is not ForceMode.CONSERVATIVE or not periodic:
        return
    atoms = periodic[0]
    stress = forcefield.evaluate([atoms], stress=True)[0].stress
    assert stress is not None
    assert np.allclose(stress, stress.T, atol=1e-6), "the stress is not symmetric"
    strain = rng.normal(size=(3, 3))
    strain = (strain + strain.T) / np.linalg.norm(strain + strain.T)

    def strained(by: float) -> Atoms:
        other: Atoms = atoms.copy()
        other.set_cell(atoms.cell @ (np.eye(3) + by * strain), scale_atoms=True)
        return other

    # Truncation: h²/6 of a third strain derivative of about 1000 eV per atom.
    _slope(forcefield, strained, float(np.sum(stress * strain)) * atoms.get_volume(), 200.0 * len(atoms), "∂E/∂ε")


def check_refusals(forcefield: ForceField, structures: Sequence[Atoms], _rng: np.random.Generator) -> None:
    """Structures that cannot be evaluated are refused before the model is called."""
    lost = structures[0].copy()
    lost.positions[0, 0] = np.nan
    unknown_element = structures[0].copy()
    unknown_element.numbers[0] = 118
    merged = structures[0].copy()
    merged.positions[-1] = merged.positions[0]
    refused: list[tuple[Atoms, type[Exception], str]] = [
        (lost, StructureError, "a NaN position"),
        (merged, StructureError, "two coincident atoms"),
        (Atoms(), StructureError, "no atoms"),
    ]
    if forcefield.card.elements is not None:
        refused.append((unknown_element, UnsupportedError, "an unknown element"))
    for atoms, error, what in refused:
        for call in (forcefield.evaluate, forcefield.bind):
            try:
                call([atoms])
            except error:
                continue
            raise AssertionError(f"{what} was accepted")


def check_lost(forcefield: ForceField, structures: Sequence[Atoms], _rng: np.random.Generator) -> None:
    """A replica with a non-finite position gives non-finite forces and energy, and does not change the other replicas."""
    for atoms in structures:
        field = forcefield.bind([atoms, atoms])
        positions = field.initial_positions()
        sound = field(positions).forces[1]
        positions[0, 0, 0] = torch.nan
        out = field(positions)
        assert not torch.isfinite(out.forces[0]).any(), "a replica with a NaN position has finite forces"
        assert not torch.isfinite(out.energy[0]), "a replica with a NaN position has a finite energy"
        _close(forcefield, out.forces[1].cpu().numpy(), sound.cpu().numpy(), "a NaN in one replica changes another")


Check = Callable[[ForceField, Sequence[Atoms], np.random.Generator], None]
CHECKS: tuple[Check, ...] = (
    check_shapes,
    check_batches,
    check_binding,
    check_skin,
    check_symmetries,
    check_gradient,
    check_net_force,
    check_products,
    check_stress,
    check_refusals,
    check_lost,
)


def _slope(forcefield: ForceField, at: Callable[[float], Atoms], expected: float, curvature: float, what: str) -> None:
    """The slope of the energy along a path is as expected, at one of three steps h at least: a long one may cross a jump.

    Allowed are ``curvature``·h² of truncation, and rounding: the energy is a sum with rounding error ε|E| (and ε per term),
    and a quotient divides that by 2h.
    """
    slopes = []
    for step in (STEP_A[forcefield.card.dtype] / by for by in (1, 5, 25)):
        structures = [at(step), at(-step)]
        ahead, behind = (result.energy for result in forcefield.evaluate(structures))
        slopes.append((ahead - behind) / (2 * step))
        noise = 4 * np.finfo(forcefield.card.dtype).eps * (abs(ahead) + len(structures[0])) / step
        if abs(slopes[-1] - expected) <= noise + curvature * step**2:
            return
    raise AssertionError(f"{what} = {slopes} by differences but {expected:.6g} by the forces or the stress")


def _displaced(atoms: Atoms, by: FloatArray) -> Atoms:
    moved: Atoms = atoms.copy()
    moved.positions += by
    return moved


def _like(structures: Sequence[Atoms], owners: Sequence[Atoms]) -> list[Atoms]:
    """Positions of ``structures`` in the shells of ``owners``: a field keeps the sites of its structures at any positions."""
    out = []
    for atoms, owner in zip(structures, owners, strict=True):
        shell = owner.copy()
        shell.positions = atoms.positions
        out.append(shell)
    return out


def _close(forcefield: ForceField, one: FloatArray, other: FloatArray, what: str) -> None:
    worst = float(np.abs(one - other).max())
    assert worst <= FORCE_TOLERANCE[forcefield.card.dtype], f"{what} by {worst:.3g} eV/Å"


def _same_energy(forcefield: ForceField, atoms: Atoms, one: float, other: float, what: str) -> None:
    if forcefield.card.has_energy:
        tolerance = 4 * np.finfo(forcefield.card.dtype).eps * (abs(one) + len(atoms))
        assert abs(one - other) <= tolerance, f"{what} by {abs(one - other):.3g} eV"
