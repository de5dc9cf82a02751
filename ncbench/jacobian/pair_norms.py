"""Norms of the 3×3 blocks of J and of its antisymmetric part, by pair, by atom and by pair of species.

A = (J − Jᵀ)/2; the block of atoms i, j of A is (J_ij − J_jiᵀ)/2, and the norm of a pair (i, j) of J is ((‖J_ij‖² + ‖J_ji‖²)/2)^½. Squares of
the norms, pairs i < j counted twice, add up to ‖J‖² and ‖A‖², so that λ² is an average of λ_ij² weighted with squared norms.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from ase.geometry import find_mic
from numpy.typing import NDArray

from ncbench.jacobian.asymmetry import Asymmetry
from ncbench.jacobian.block_jacobian import BlockJacobian

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
MOST_PAIRS = 200_000
"""Maximum number of rows of a table of pairs: all pairs of 632 atoms, about 10 MB."""


@dataclass(frozen=True)
class PairNorms:
    """Norms of the pairs i ≤ j: all of them, or those within the reach of a coloured Jacobian."""

    n_atoms: int
    first: IntArray
    """[P]"""
    second: IntArray
    """[P], not below ``first``; equal to it for an on-site block."""
    jacobian: FloatArray
    """[P], eV/Å²."""
    antisymmetric: FloatArray
    """[P], eV/Å²."""

    @classmethod
    def of_dense(cls, parts: Asymmetry) -> PairNorms:
        """All pairs of a dense Jacobian."""
        n = len(parts.jacobian)
        first, second = np.triu_indices(n)
        return cls(n, first, second, parts.jacobian[first, second], parts.antisymmetric[first, second])

    @classmethod
    def of_blocks(cls, blocks: BlockJacobian) -> PairNorms:
        """The pairs stored in a coloured Jacobian."""
        squares = np.square(blocks.projected).sum(axis=(1, 2))
        jacobian = np.sqrt((squares + squares[blocks.transposed]) / 2)
        antisymmetric = np.sqrt(np.square(blocks.antisymmetric).sum(axis=(1, 2)))
        keep = blocks.first <= blocks.second
        return cls(blocks.n_atoms, blocks.first[keep], blocks.second[keep], jacobian[keep], antisymmetric[keep])

    @property
    def on_site(self) -> float:
        """λ over the blocks of an atom with itself; NaN where these are zero."""
        own = self.first == self.second
        return ratio(np.linalg.norm(self.antisymmetric[own]), np.linalg.norm(self.jacobian[own]))

    def pair_rows(self, atoms: Atoms, rng: np.random.Generator) -> list[dict[str, Any]]:
        """One row per pair: species, minimum-image distance (Å), norms (eV/Å²), λ_ij (NaN where the block is zero).

        Of more than :data:`MOST_PAIRS` pairs, all on-site blocks and a random subset of the others.
        """
        if len(self.first) > MOST_PAIRS:
            return self._thinned(rng).pair_rows(atoms, rng)
        symbols = atoms.get_chemical_symbols()
        vectors = atoms.positions[self.second] - atoms.positions[self.first]
        _, distances = find_mic(vectors, atoms.cell, atoms.pbc)
        return [
            {
                "atom_i": int(i),
                "atom_j": int(j),
                "species_i": symbols[i],
                "species_j": symbols[j],
                "distance_A": float(distance),
                "jacobian_norm_eV_per_A2": float(whole),
                "antisymmetric_norm_eV_per_A2": float(part),
                "lambda_ij": ratio(part, whole),
            }
            for i, j, distance, whole, part in zip(
                self.first, self.second, distances, self.jacobian, self.antisymmetric, strict=True
            )
        ]

    def atom_rows(self, atoms: Atoms) -> list[dict[str, Any]]:
        """One row per atom: λ_i over all blocks of the atom, and over its on-site block alone."""
        whole, part = self._by_atom(self.jacobian), self._by_atom(self.antisymmetric)
        own_whole, own_part = np.zeros(self.n_atoms), np.zeros(self.n_atoms)
        own = self.first == self.second
        own_whole[self.first[own]], own_part[self.first[own]] = self.jacobian[own], self.antisymmetric[own]
        return [
            {
                "atom_i": i,
                "species_i": symbol,
                "lambda_i": ratio(part[i], whole[i]),
                "jacobian_norm_eV_per_A2": float(whole[i]),
                "antisymmetric_norm_eV_per_A2": float(part[i]),
                "lambda_on_site": ratio(own_part[i], own_whole[i]),
                "on_site_antisymmetric_norm_eV_per_A2": float(own_part[i]),
            }
            for i, symbol in enumerate(atoms.get_chemical_symbols())
        ]

    def species_rows(self, atoms: Atoms) -> list[dict[str, Any]]:
        """One row per pair of species, with on-site blocks in separate rows; their shares of ‖A‖² add up to one."""
        symbols = np.array(atoms.get_chemical_symbols())
        ordered = np.sort(np.stack([symbols[self.first], symbols[self.second]], axis=1), axis=1)
        own = self.first == self.second
        weights = np.where(own, 1.0, 2.0)
        whole, part = weights * self.jacobian**2, weights * self.antisymmetric**2
        rows = []
        kinds = sorted({(str(a), str(b), not bool(o)) for (a, b), o in zip(ordered, own, strict=True)})
        for a, b, between in kinds:
            which = (ordered[:, 0] == a) & (ordered[:, 1] == b) & (own != between)
            rows.append(
                {
                    "species_i": a,
                    "species_j": b,
                    "on_site": not between,
                    "n_pairs": int(which.sum()),
                    "lambda_pairs": ratio(np.sqrt(part[which].sum()), np.sqrt(whole[which].sum())),
                    "jacobian_norm_eV_per_A2": float(np.sqrt(whole[which].sum())),
                    "antisymmetric_norm_eV_per_A2": float(np.sqrt(part[which].sum())),
                    "fraction_of_antisymmetry": ratio(part[which].sum(), part.sum()),
                }
            )
        return rows

    def _thinned(self, rng: np.random.Generator) -> PairNorms:
        own = np.flatnonzero(self.first == self.second)
        between = np.flatnonzero(self.first != self.second)
        chosen = rng.choice(between, size=max(0, MOST_PAIRS - len(own)), replace=False)
        keep = np.sort(np.concatenate([own, chosen]))
        return PairNorms(
            self.n_atoms, self.first[keep], self.second[keep], self.jacobian[keep], self.antisymmetric[keep]
        )

    def _by_atom(self, norms: FloatArray) -> FloatArray:
        """[N]: norm of all blocks J_ij of one i."""
        squares = np.bincount(self.first, norms**2, self.n_atoms)
        between = self.first != self.second
        squares += np.bincount(self.second[between], norms[between] ** 2, self.n_atoms)
        per_atom: FloatArray = np.sqrt(squares)
        return per_atom


def ratio(part: float | np.floating, whole: float | np.floating) -> float:
    """``part``/``whole``, NaN where the whole is zero or not a number."""
    return float(part / whole) if whole > 0 else float("nan")
