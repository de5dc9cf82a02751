"""What the numbers of a model say in plain words, by rules written down here and printed with every table.

A finding needs two things: the number must differ from zero by three of its standard errors, and it must be large enough to
matter. The second keeps a long, precise run from condemning a model for what no simulation would notice.
"""

from __future__ import annotations

from collections.abc import Mapping

from ncbench.statistics.cells import Cell

SIGMAS = 3.0
"""Standard errors from zero at which a number counts as found."""

ENERGY_DRIFT = 1.0
"""meV/atom/ps. Shared between kinetic and potential energy, ΔE/(3 k_B), it is about 4 K a picosecond."""

TEMPERATURE = 5.0
"""K. Off by this much, a thermostatted liquid is at another temperature than the one it was asked for."""

RELAXATION = 90.0
"""Per cent of relaxations that should succeed."""

RULES = (
    f"heats or cools: the energy drift in NVE exceeds {SIGMAS:g} standard errors and {ENERGY_DRIFT:g} meV/atom/ps",
    f"λ, W: called nonzero beyond {SIGMAS:g} errors, numerical ones included",
    f"wrong temperature: a mean under SVR is off by more than {SIGMAS:g} standard errors and {TEMPERATURE:g} K",
    f"relaxation: called failing below {RELAXATION:g} % success",
)


def differs(cell: Cell, threshold: float = 0.0) -> bool | None:
    """The value lies beyond :data:`SIGMAS` errors and ``threshold`` from zero; ``None`` where that cannot be told."""
    if cell.value is None or cell.error is None or cell.loose:
        return None
    return abs(cell.value) > max(SIGMAS * cell.error, threshold)


def verdict(cells: Mapping[str, Cell], exploded: bool = False) -> str:
    """Sentences on one model.

    Args:
        cells: the row of the summary table by column key.
        exploded: a run of it left any physical temperature.
    """
    parts = [*_forces(cells), *_dynamics(cells, exploded), *_thermostat(cells), *_relaxation(cells)]
    return " ".join(parts) or "Nothing was measured."


def _forces(cells: Mapping[str, Cell]) -> list[str]:
    marks = {name: cells[key].significant for key, name in (("lambda", "λ"), ("work", "W")) if key in cells}
    found = [
        f"{name} = {cells[key]}{unit}"
        for key, name, unit in (("lambda", "λ", ""), ("work", "W", " meV"))
        if marks.get(name)
    ]
    if found:
        return [f"Its forces are not the gradient of an energy ({', '.join(found)})."]
    clean = [name for name, mark in marks.items() if mark is False]
    return [f"Its forces are conservative: {' and '.join(clean)} zero within error."] if clean else []


def _dynamics(cells: Mapping[str, Cell], exploded: bool) -> list[str]:
    if exploded:
        return ["It explodes: the liquid leaves any physical temperature."]
    drift = cells.get("energy_drift", Cell())
    found = differs(drift, ENERGY_DRIFT)
    if found is None:
        return []
    if found and drift.value is not None:
        doing = "heats" if drift.value > 0 else "cools"
        slope = cells.get("drift", Cell())
        kelvin = f", {slope} K/ps" if differs(slope) else ""
        return [f"It {doing} the liquid at constant energy ({drift} meV/atom/ps{kelvin})."]
    if drift.error is not None and SIGMAS * drift.error > ENERGY_DRIFT:
        return [f"No drift found, though the run is too short to see one below {SIGMAS * drift.error:.2g} meV/atom/ps."]
    return ["It conserves energy."]


def _thermostat(cells: Mapping[str, Cell]) -> list[str]:
    excess = {key.removeprefix("excess_"): cell for key, cell in cells.items() if key.startswith("excess_")}
    off = [
        f"{species} {cell.value:+.0f} K"
        for species, cell in excess.items()
        if differs(cell, TEMPERATURE) and cell.value is not None
    ]
    if off:
        return [f"A gentle thermostat leaves {' and '.join(off)} off."]
    wide = [
        species
        for species, cell in excess.items()
        if cell.loose or (cell.error is not None and SIGMAS * cell.error > TEMPERATURE)
    ]
    if wide:
        return [f"Temperatures under a gentle thermostat are known too roughly for a verdict ({' and '.join(wide)})."]
    if any(differs(cell, TEMPERATURE) is None for cell in excess.values()):
        return []
    return ["A gentle thermostat holds its temperatures."] if excess else []


def _relaxation(cells: Mapping[str, Cell]) -> list[str]:
    rate = cells.get("relax", Cell())
    if rate.value is None:
        return []
    if rate.value < RELAXATION:
        return [
            f"Only {rate.value:.0f} % of its relaxations converge."
            if rate.value > 0
            else "None of its relaxations converge."
        ]
    return ["Its relaxations converge."]
