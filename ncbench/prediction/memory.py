"""How large a structure the dense prediction can take.

The prediction holds the Jacobian, its modes and the covariance of all pairs of them as full matrices: nothing is approximated, and memory grows as N², time as N³.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from ncbench.errors import UnsupportedError
from ncbench.memory import GIB, available
from ncbench.prediction.heating import Thermostat

BYTES, BYTES_OF_PAIRS = 250.0, 80.0
"""Peak memory an entry of a [3N, 3N] matrix, and the part that is multiplied by (2 + n_s)² for n_s auxiliary momenta, bytes. Measured peaks at 192 and
300 atoms are 503 to 573 bytes with white noise and 892 to 976 with the paper's GLE (n_s = 1), where these give 570 and 970."""


def bytes_needed(n_atoms: int, thermostats: Sequence[Thermostat]) -> float:
    """Peak memory of a prediction, bytes."""
    variables = 1 + max((len(one.friction_per_fs) for one in thermostats), default=1)
    return (3.0 * n_atoms) ** 2 * (BYTES + BYTES_OF_PAIRS * variables**2)


def require_memory(n_atoms: int, thermostats: Sequence[Thermostat]) -> None:
    """Refuse a structure whose matrices do not fit into the memory that is free; nothing is refused if the system does not report it.

    Raises:
        UnsupportedError: with the largest number of atoms that fits.
    """
    free, needed = available(torch.device("cpu")), bytes_needed(n_atoms, thermostats)
    if free is None or needed <= free:
        return
    largest = math.floor(n_atoms * math.sqrt(free / needed))
    raise UnsupportedError(
        f"The dense prediction of {n_atoms} atoms takes {needed / GIB:.1f} GB, and {free / GIB:.1f} GB are free: it covers up to {largest} atoms.",
        hint="Use a smaller cell: the heating an atom hardly depends on it.",
    )
