"""Rows of the side tables ``protocol`` of ``nve-drift`` and ``lambda``: a peer's number beside ours."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ncbench.diagnostics import protocols
from ncbench.diagnostics.base import label_of
from ncbench.diagnostics.protocols import ASE_TIME_FS, LAMBENCH_NVE, ML_PEG_LAMBDA, MLIPAUDIT_NVE, PROTOCOLS
from ncbench.schema import Column, TableSchema
from ncbench.statistics.format import number, with_error
from ncbench.types import Case, Status
from ncbench.units import MEV

if TYPE_CHECKING:
    from ncbench.md.series import EnergySeries

_PROTOCOL = (
    Column("protocol", "str", "", "the published protocol"),
    Column("source", "str", "", "repository and commit with its definition"),
    Column("differs", "str", "", "settings that are not as published, with the published ones; empty if none"),
)
NVE_PROTOCOL = TableSchema(
    "nve-drift-protocol",
    1,
    (
        *_PROTOCOL,
        Column("timestep_fs", "float", "fs", "time step"),
        Column("steps", "int", "", "steps of the run"),
        Column("n_snapshots", "int", "", "energies that the protocol uses"),
        Column("ratio_drift", "float", "", "mlipaudit: |slope| · length / standard deviation of the kinetic energy"),
        Column("fraction_score", "float", "", "mlipaudit: score, 1 is best"),
        Column("slope_eV_per_ps", "float", "eV/ps", "mlipaudit: slope of the total energy of the cell"),
        Column("kinetic_sd_eV", "float", "eV", "mlipaudit: standard deviation of the kinetic energy"),
        Column(
            "reported_slope",
            "float",
            "meV/atom/10.18 fs",
            "lambench: the slope as LAMBench reports it, labelled eV/atom/ps there; 10.18 times the drift in eV/atom/ps",
        ),
        Column("corrected_slope", "float", "eV/atom/ps", "lambench: the same with the time in ps"),
        Column("ratio_instability", "float", "", "lambench: log10 of the reported slope over 5e-4, from 0 to 5"),
        Column("ratio_instability_corrected", "float", "", "lambench: the same of the corrected slope"),
        Column("energy_drift_meV_per_atom_per_ps", "float", "meV/atom/ps", "our drift of this run"),
        Column("energy_drift_meV_per_atom_per_ps_se", "float", "meV/atom/ps", "its standard error"),
        Column("error_known", "bool", "", "if false, that error is a lower bound"),
        Column("ratio_from_drift", "float", "", "mlipaudit: ratio_drift that our drift gives"),
        Column("ratio_from_drift_se", "float", "", "its standard error"),
        Column("reported_from_drift", "float", "meV/atom/10.18 fs", "lambench: reported_slope that our drift gives"),
        Column("reported_from_drift_se", "float", "meV/atom/10.18 fs", "its standard error"),
    ),
)
NVE_PROTOCOL_SERIES = TableSchema(
    "nve-drift-protocol-series",
    1,
    (
        _PROTOCOL[0],
        Column("timestep_fs", "float", "fs", "time step"),
        Column("time_fs", "float", "fs", "time from the start of the run"),
        Column("total_eV", "float", "eV", "potential + kinetic energy of the cell"),
        Column("kinetic_eV", "float", "eV", "kinetic energy"),
    ),
)
"""The energies that the protocols use."""
LAMBDA_PROTOCOL = TableSchema(
    "lambda-protocol",
    1,
    (
        *_PROTOCOL,
        Column("n_structures", "int", "", "structures with a λ"),
        Column("lambda_mean", "float", "", "mean over structures, as ml-peg's metric 'mean lambda'"),
        Column("lambda_max", "float", "", "largest, as ml-peg's metric 'max lambda'"),
        Column("fraction_score", "float", "", "ml-peg's score of both, 1 is best; absent unless all ten have a λ"),
        Column("n_above_floor", "int", "", "structures whose λ is resolved as nonzero; the others are not"),
        Column("lambda_floor_most", "float", "", "largest numerical floor of the structures"),
    ),
)


def nve_rows(
    name: str, row: Mapping[str, Any], series: EnergySeries, replica: int, settings: Mapping[str, Any]
) -> dict[str, list[dict[str, Any]]]:
    """The protocol's numbers of one run, and the energies they are from: rows of the side tables ``protocol`` and ``protocol_series``.

    Args:
        name: the protocol.
        row: the run's row of ``nve-drift``.
        series: its samples.
        replica: its index in them.
        settings: those of the run, by name, with the number of steps.
    """
    import numpy as np

    from ncbench.md.tables import number as finite

    protocol = PROTOCOLS[name]
    every = max(1, protocols.snapshot_steps(name, row["steps"]) // series.stride)
    alive = np.isfinite(series.kinetic[:, replica])
    times = series.times_fs[alive][::every]
    total, kinetic = series.total[alive, replica][::every], series.kinetic[alive, replica][::every]
    where = {key: row[key] for key in ("structure", "n_atoms", "timestep_fs")} | {"protocol": name}
    common = {
        **where,
        "source": protocol.source,
        "differs": "; ".join(protocols.differences(protocol, settings)),
        "steps": row["steps"],
        "n_snapshots": len(times),
        "energy_drift_meV_per_atom_per_ps": row.get("energy_drift_meV_per_atom_per_ps"),
        "energy_drift_meV_per_atom_per_ps_se": row.get("energy_drift_meV_per_atom_per_ps_se"),
        "error_known": row.get("plateau"),
        "status": row["status"],
        "reason": row["reason"],
    }
    ended = row["status"] == Status.EXPLODED
    if name == MLIPAUDIT_NVE.name:
        values = _mlipaudit(times / 1000.0, total, kinetic, common, ended=ended)
    else:
        values = _lambench(times, total, common, ended=ended)
    columns = {"time_fs": times, "total_eV": total, "kinetic_eV": kinetic}
    points = [
        NVE_PROTOCOL_SERIES.row(**where, **{key: finite(value[k]) for key, value in columns.items()})
        for k in range(len(times))
    ]
    return {"protocol": [NVE_PROTOCOL.row(**common, **values)], "protocol_series": points}


def _mlipaudit(times_ps: Any, total: Any, kinetic: Any, common: Mapping[str, Any], *, ended: bool) -> dict[str, Any]:
    drift = None if ended else protocols.mlipaudit_nve(times_ps, total, kinetic)
    if drift is None:
        return {"fraction_score": 0.0} if ended else {}
    values = {"ratio_drift": drift.ratio, "fraction_score": drift.score}
    values |= {key: value for key, value in asdict(drift).items() if key in ("slope_eV_per_ps", "kinetic_sd_eV")}
    scale = common["n_atoms"] * MEV * float(times_ps[-1] - times_ps[0]) / drift.kinetic_sd_eV
    return values | _from_drift(common, "ratio_from_drift", scale)


def _lambench(times_fs: Any, total: Any, common: Mapping[str, Any], *, ended: bool) -> dict[str, Any]:
    slope = None if ended else protocols.lambench_nve(times_fs, total, common["n_atoms"])
    if slope is None:
        return {"ratio_instability": protocols.LAMBENCH_WORST} if ended else {}
    return {
        "reported_slope": slope,
        "corrected_slope": slope / ASE_TIME_FS,
        "ratio_instability": protocols.lambench_instability(slope),
        "ratio_instability_corrected": protocols.lambench_instability(slope / ASE_TIME_FS),
        **_from_drift(common, "reported_from_drift", MEV * ASE_TIME_FS),
    }


def _from_drift(common: Mapping[str, Any], column: str, scale: float) -> dict[str, Any]:
    drift, error = (common[f"energy_drift_meV_per_atom_per_ps{end}"] for end in ("", "_se"))
    return {
        column: None if drift is None else abs(drift) * scale,
        f"{column}_se": None if error is None else error * scale,
    }


def lambda_row(rows: Sequence[Mapping[str, Any]], cases: Sequence[Case], settings: Mapping[str, Any]) -> dict[str, Any]:
    """ml-peg's metrics of a job's rows of ``lambda``, one for each of ``cases`` in their order."""
    from ncbench.structures.small_ten import ml_peg_ten

    differs = protocols.differences(ML_PEG_LAMBDA, settings)
    places = {
        atoms.info["name"]: next((k for k, case in enumerate(cases) if _same(atoms, case.atoms)), None)
        for atoms in ml_peg_ten()
    }
    # A structure that the model refused has a row without λ.
    missing = [name for name, place in places.items() if place is None or rows[place]["lambda"] is None]
    others = len(cases) - sum(place is not None for place in places.values())
    if missing:
        differs.append(f"without {', '.join(missing)}")
    if others:
        differs.append(
            "1 structure that is not ml-peg's" if others == 1 else f"{others} structures that are not ml-peg's"
        )
    values = [row["lambda"] for row in rows if row["lambda"] is not None]
    floors = [row["lambda_floor"] for row in rows if row["lambda_floor"] is not None]
    mean, most = (sum(values) / len(values), max(values)) if values else (None, None)
    whole = mean is not None and most is not None and not (missing or others) and len(values) == len(cases)
    return LAMBDA_PROTOCOL.row(
        structure="all",
        n_atoms=None,
        protocol=ML_PEG_LAMBDA.name,
        source=ML_PEG_LAMBDA.source,
        differs="; ".join(differs),
        n_structures=len(values),
        lambda_mean=mean,
        lambda_max=most,
        fraction_score=protocols.ml_peg_score([mean, most])
        if whole and mean is not None and most is not None
        else None,
        n_above_floor=sum(row["resolved"] == "nonzero" for row in rows),
        lambda_floor_most=max(floors, default=None),
        status=Status.OK if values else Status.FAILED,
        reason="" if values else "no structure has a λ",
    )


def _same(published: Any, atoms: Any) -> bool:
    import numpy as np

    if list(published.numbers) != list(atoms.numbers):
        return False
    # Positions of files have 1e-8 Å or so.
    return bool(
        np.allclose(published.positions - published.positions[0], atoms.positions - atoms.positions[0], atol=1e-6)
    )


def remarks(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """A sentence for each row of a table ``protocol``: the peer's number, ours, the relation, and what differs from the published settings."""
    return [f"{label_of(row)}, {row['structure']}, {row['protocol']}: {_number(row)}{_differs(row)}" for row in rows]


def _number(row: Mapping[str, Any]) -> str:
    relation = PROTOCOLS[row["protocol"]].relation
    if row["protocol"] == ML_PEG_LAMBDA.name:
        if _absent(row["lambda_mean"]):
            return f"no number ({row['reason']})."
        score = "" if _absent(row["fraction_score"]) else f", score {number(row['fraction_score'])}"
        resolved = f"{row['n_above_floor']} of {row['n_structures']} λ are above their floor ({number(row['lambda_floor_most'], 1)} at most)"
        return f"mean λ {number(row['lambda_mean'])}, max λ {number(row['lambda_max'])}{score}: {relation}; {resolved}."
    known = row["error_known"] is not False
    if row["protocol"] == MLIPAUDIT_NVE.name:
        if _absent(row["ratio_drift"]):
            return (
                "the run counts as failed, score 0."
                if row["fraction_score"] == 0.0
                else "too few snapshots for a number."
            )
        ours = with_error(row["ratio_from_drift"], row["ratio_from_drift_se"], known=known)
        return f"drift ratio {number(row['ratio_drift'])}, score {number(row['fraction_score'])}: {relation}; our drift gives {ours}."
    assert row["protocol"] == LAMBENCH_NVE.name
    if _absent(row["reported_slope"]):
        worst = "the run counts as failed, instability 5."
        return worst if not _absent(row["ratio_instability"]) else "too few energies for a number."
    ours = with_error(row["reported_from_drift"], row["reported_from_drift_se"], known=known)
    return (
        f"slope {number(row['reported_slope'])} as reported, {number(row['corrected_slope'])} eV/atom/ps, instability {number(row['ratio_instability'])} "
        f"({number(row['ratio_instability_corrected'])} in the right unit): {relation}; our drift gives {ours} as reported."
    )


def _absent(value: float | None) -> bool:
    """Absent numbers are NaN in rows that were read from a table."""
    return value is None or math.isnan(value)


def _differs(row: Mapping[str, Any]) -> str:
    return f" Not as published: {row['differs']}." if row["differs"] else ""
