"""What has been measured of the asymmetry λ of named models: rows of committed results, in a table that comes with ncbench.

``docs/write_models.py`` writes the table; nothing here measures anything.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

TABLE = Path(__file__).parent / "measured.csv"
COLUMNS = (
    "model",
    "force_mode",
    "system",
    "n_atoms",
    "dtype",
    "lambda",
    "lambda_low",
    "lambda_high",
    "lambda_floor",
    "resolved",
)
"""As in the table ``lambda`` of a results folder."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """λ = ‖(J − Jᵀ)/2‖ / ‖J‖ of one model on one structure."""

    model: str
    mode: str
    system: str
    n_atoms: int
    dtype: str
    value: float
    low: float
    high: float
    floor: float
    """Below which rounding or the step of differences decides."""
    verdict: str
    """``nonzero``, ``gradient`` or ``unresolved``."""
    folder: str
    """Results folder in ncbench's repository."""

    @property
    def sentence(self) -> str:
        """One line for a terminal."""
        where = f"{self.model}:{self.mode} on {self.system} ({self.n_atoms} atoms, {self.dtype})"
        if self.verdict == "nonzero":
            return f"{where}: {self.value:.3g}, between {self.low:.3g} and {self.high:.3g}"
        return f"{where}: {self.value:.1g}, {'a gradient' if self.verdict == 'gradient' else 'not resolved'} (floor {self.floor:.1g})"


def of_model(name: str) -> list[Measured]:
    """The rows of this model, in the table's order."""
    with TABLE.open(encoding="utf-8", newline="") as stream:
        return [
            Measured(
                model=row["model"],
                mode=row["force_mode"],
                system=row["system"],
                n_atoms=int(row["n_atoms"]),
                dtype=row["dtype"],
                value=float(row["lambda"]),
                low=_number(row["lambda_low"]),
                high=_number(row["lambda_high"]),
                floor=_number(row["lambda_floor"]),
                verdict=row["resolved"],
                folder=row["folder"],
            )
            for row in csv.DictReader(stream)
            if row["model"] == name
        ]


def _number(text: str) -> float:
    return float(text) if text else float("nan")
