"""Errors of energy drifts where the forces are known to be the gradient of a smooth energy.

A row of ``nve-drift`` cannot know this: λ and the energy's jumps are in other tables of its folder. Without it, the error of a short run is a lower
bound, since the power of non-conservative forces may fluctuate slowly. A gradient has no such power, and the error is known from 1 ps
(:func:`ncbench.statistics.heating.error_known_of_gradient`).
"""

from __future__ import annotations

import pandas as pd

from ncbench.diagnostics import registry
from ncbench.statistics.heating import GRADIENT_WIDENING
from ncbench.statistics.intervals import SIGMAS

KNOWN = "error_known_of_gradient"
WIDENED = ("energy_drift_meV_per_atom_per_ps_se", "drift_from_energy_K_per_ps_se")


def with_errors_of_gradients(
    drifts: pd.DataFrame, asymmetries: pd.DataFrame | None, consistency: pd.DataFrame | None
) -> pd.DataFrame:
    """Rows of ``nve-drift`` with ``plateau`` true, and a wider error, where they have :data:`KNOWN` and the model's forces are a gradient.

    A gradient: λ shows it (:func:`ncbench.jacobian.methods.resolved`), and no step of the energy exceeds three floors.

    Args:
        drifts: rows of ``nve-drift``.
        asymmetries: rows of ``lambda`` of the same folder; ``None`` if it has none.
        consistency: rows of ``consistency``, likewise.
    """
    if asymmetries is None or consistency is None or KNOWN not in drifts or "plateau" not in drifts:
        return drifts
    known = (drifts[KNOWN] == True) & (drifts["plateau"] == False)  # noqa: E712  # absent values are neither
    labels = [*zip(drifts["model"], drifts["force_mode"], strict=True)]
    smooth = {label for label in dict.fromkeys(labels) if _is_smooth_gradient(*label, asymmetries, consistency)}
    used = known & pd.Series([label in smooth for label in labels], index=drifts.index)
    if not used.any():
        return drifts
    drifts = drifts.copy()
    drifts.loc[used, "plateau"] = True
    for column in WIDENED:
        drifts.loc[used, column] *= GRADIENT_WIDENING
    return drifts


def _is_smooth_gradient(model: str, mode: str, asymmetries: pd.DataFrame, consistency: pd.DataFrame) -> bool:
    def measured(rows: pd.DataFrame) -> pd.DataFrame:
        chosen: pd.DataFrame = rows[(rows["model"] == model) & (rows["force_mode"] == mode) & (rows["status"] == "ok")]
        return chosen

    rows = measured(asymmetries)
    if not len(rows):
        return False
    (asymmetry,) = (one for one in registry.get("lambda").quantities(rows) if one.key == "lambda")
    return asymmetry.value(rows).significant is False and energy_jumps(measured(consistency)) is False


def energy_jumps(rows: pd.DataFrame) -> bool | None:
    """Whether a step of the energy exceeds three floors of rounding and quadrature, of rows of ``consistency``; ``None``: not measured."""
    rows = rows[rows["energy_jump_meV"].notna()] if len(rows) else rows
    if not len(rows):
        return None
    return bool((rows["energy_jump_meV"] > SIGMAS * rows["energy_jump_floor_meV"].fillna(0.0)).any())
