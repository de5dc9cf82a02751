"""The force Jacobian of a large cell from few products: atoms too far apart to interact share one.

If no force depends on atoms beyond the reach R, row blocks J_i. and J_i'. of atoms more than 2R apart have no column in common, so that
one vector-Jacobian product with cotangents on both gives both (Curtis, Powell & Reid 1974; here the graph is that of distances). At fixed
density the number of colours, and so of products, does not grow with the number of atoms.

Blocks beyond R are not assumed to vanish: products with random vectors measure ‖J − J_R‖ and ‖A − A_R‖ without bias.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from ase import Atoms
from numpy.typing import NDArray

from ncbench.errors import UnsupportedError
from ncbench.jacobian.block_jacobian import BlockJacobian
from ncbench.jacobian.colouring import colour, neighbours
from ncbench.jacobian.shift import with_new_rounding
from ncbench.models.interface import ForceField
from ncbench.types import Tick, silent

FloatArray = NDArray[np.float64]
CHECK_PROBES = 2
"""Random products that are compared with the sparse matrix."""


@dataclass(frozen=True)
class Coloured:
    """J by colours, with its cost and its errors."""

    jacobian: BlockJacobian
    reach_A: float
    n_colours: int
    products: int
    """Vector-Jacobian products of single structures."""
    force_calls: int
    leak: float
    """‖J − J_R‖, eV/Å²: truncation beyond the reach, and rounding."""
    leak_antisymmetric: float
    """‖A − A_R‖, eV/Å²."""
    noise: float
    """Root-mean-square error of an entry from rounding, eV/Å²."""

    @property
    def standard_error(self) -> float:
        """Bound on the error of λ from the truncation: |‖A‖ − ‖A_R‖| ≤ ‖A − A_R‖, and the same for J."""
        norm = np.sqrt(self.jacobian.squares[0])
        return float((self.leak_antisymmetric + self.jacobian.lam * self.leak) / norm) if norm > 0 else float("nan")


def reach_of(forcefield: ForceField, reach_A: float | None = None) -> float:
    """The distance beyond which J is truncated: the requested one, or the model's receptive field, Å.

    Raises:
        UnsupportedError: none was requested and the model does not declare its own; or the torque is removed, which makes every force
            depend on every atom.
    """
    if forcefield.card.torque_removed:
        raise UnsupportedError(
            f"{forcefield.card.label} has its torque removed, so that every force depends on every atom.",
            hint="Use --method exact or stochastic, or leave the torque in.",
        )
    reach = reach_A if reach_A is not None else forcefield.card.receptive_A
    if reach is None:
        raise UnsupportedError(
            f"{forcefield.card.label} does not declare its receptive field.",
            hint="Give --reach, in Å, or use --method stochastic.",
        )
    return reach


def coloured(
    forcefield: ForceField,
    atoms: Atoms,
    *,
    batch: int,
    rng: np.random.Generator,
    tick: Tick = silent,
    reach_A: float | None = None,
) -> Coloured:
    """All blocks J_ij with r_ij within the reach, by three products per colour.

    Args:
        forcefield: the model, with autograd through the positions.
        atoms: N atoms.
        batch: copies of the structure in one pass.
        rng: generates the vectors of the check.
        tick: called with the number of products after each pass.
        reach_A: distance to truncate at instead of the receptive field; the error then includes the truncation.

    Raises:
        UnsupportedError: as :func:`reach_of`.
        NotDifferentiableError: autograd does not reach the positions.
    """
    reach = reach_of(forcefield, reach_A)
    plain = forcefield.without_net_force_removal()
    colours = colour(neighbours(atoms, 2.0 * reach))
    near = neighbours(atoms, reach)
    first = np.repeat(np.arange(len(atoms)), np.diff(near.indptr))
    second = near.indices.astype(np.int64)
    blocks = _blocks(plain, atoms, colours, first, second, batch, tick)
    truncated = BlockJacobian(len(atoms), first, second, blocks, mean_removed=forcefield.card.net_force_removed)
    leak, antisymmetric, noise = _check(forcefield, atoms, truncated, rng)
    count = int(colours.max()) + 1
    return Coloured(
        jacobian=truncated,
        reach_A=reach,
        n_colours=count,
        products=3 * count + 4 * CHECK_PROBES,
        force_calls=batch + 2,
        leak=leak,
        leak_antisymmetric=antisymmetric,
        noise=noise,
    )


def _blocks(
    forcefield: ForceField,
    atoms: Atoms,
    colours: NDArray[np.int64],
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    batch: int,
    tick: Tick,
) -> FloatArray:
    field = forcefield.bind([atoms] * batch)
    linearization = field.linearize(field.initial_positions())
    by_colour = np.argsort(colours[first], kind="stable")
    edges = np.searchsorted(colours[first][by_colour], np.arange(colours.max() + 2))
    blocks = np.empty((len(first), 3, 3))
    wanted = [(c, a) for c in range(int(colours.max()) + 1) for a in range(3)]
    for start in range(0, len(wanted), batch):
        chunk = wanted[start : start + batch]
        cotangents = torch.zeros((batch, len(atoms), 3), dtype=torch.float64, device=field.device)
        for replica, (c, a) in enumerate(chunk):
            cotangents[replica, torch.as_tensor(np.flatnonzero(colours == c), device=field.device), a] = 1.0
        products = linearization.vjp(cotangents).cpu().numpy()
        for replica, (c, a) in enumerate(chunk):
            pairs = by_colour[edges[c] : edges[c + 1]]
            blocks[pairs, a] = products[replica, second[pairs]]
        tick(len(chunk))
    return blocks


def _check(
    forcefield: ForceField, atoms: Atoms, truncated: BlockJacobian, rng: np.random.Generator
) -> tuple[float, float, float]:
    """(‖J − J_R‖, ‖A − A_R‖, rounding of an entry) by random products of the model itself, eV/Å²."""
    field, moved = forcefield.bind([atoms]), forcefield.bind([with_new_rounding(forcefield, atoms, rng)])
    original, there = field.linearize(field.initial_positions()), moved.linearize(moved.initial_positions())
    whole, antisymmetric, rounding = [], [], []
    for _ in range(CHECK_PROBES):
        v: FloatArray = rng.integers(0, 2, size=(truncated.n_atoms, 3)).astype(np.float64) * 2.0 - 1.0
        probe = torch.as_tensor(v[None], device=field.device)
        forward, backward = original.jvp(probe)[0].cpu().numpy(), original.vjp(probe)[0].cpu().numpy()
        missing, missing_transposed = forward - truncated.apply(v), backward - truncated.apply_transposed(v)
        whole += [np.sum(missing**2), np.sum(missing_transposed**2)]
        antisymmetric.append(np.sum((missing - missing_transposed) ** 2) / 4)
        # Two draws of the rounding error differ by √2 σ; E‖δv‖² sums it over all 3N entries of each of 3N rows.
        rounding.append(np.sum((there.vjp(probe)[0].cpu().numpy() - backward) ** 2) / 2)
    entries = 3 * truncated.n_atoms
    return (
        float(np.sqrt(np.mean(whole))),
        float(np.sqrt(np.mean(antisymmetric))),
        float(np.sqrt(np.mean(rounding)) / entries),
    )
