"""torch-sim's HDF5 trajectories: arrays ``/data/NAME`` with their steps ``/steps/NAME``, energies in eV and temperatures in K."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ncbench.errors import MissingPackageError, UsageError
from ncbench.logs.digits import hidden_step
from ncbench.logs.log import Ensemble, FloatArray, LogOptions, Run, Series

MAGIC = b"\x89HDF\r\n\x1a\n"
_ROLES = {
    "potential_energy": "potential", "kinetic_energy": "kinetic", "temperature": "temperature", "total_energy": "total",
    "conserved_energy": "conserved", "invariant": "conserved",
}  # fmt: skip


def read_hdf5(path: Path, options: LogOptions) -> list[Run]:
    """The run of a torch-sim trajectory. Steps are counted in the file, the time step is not: ``--timestep``.

    Raises:
        UsageError: not one of torch-sim, no energies, or no time step.
        MissingPackageError: h5py is not installed.
    """
    try:
        import h5py  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError as error:
        raise MissingPackageError(
            f"'{path.name}' is an HDF5 file, which h5py reads.", hint="pip install h5py"
        ) from error
    try:
        with h5py.File(path, "r") as stream:
            if not all(isinstance(stream.get(name), h5py.Group) for name in ("data", "steps")):
                raise UsageError(f"'{path.name}' is an HDF5 file, but not of torch-sim.")
            arrays = {name: np.asarray(item) for name, item in stream["data"].items() if isinstance(item, h5py.Dataset)}
            steps = {
                name: np.asarray(item).ravel()
                for name, item in stream["steps"].items()
                if isinstance(item, h5py.Dataset)
            }
    except OSError as error:
        raise UsageError(f"'{path.name}' cannot be read as HDF5: {str(error)[:100]}.") from error
    stored = {_ROLES[name]: name for name in arrays if name in _ROLES}
    if not {"potential", "total", "conserved"} & stored.keys():
        raise UsageError(
            f"'{path.name}' holds no energies (only {', '.join(sorted(arrays)) or 'nothing'}).",
            hint="Give TrajectoryReporter prop_calculators with potential_energy, kinetic_energy and temperature.",
        )
    if options.timestep_fs is None:
        raise UsageError(f"'{path.name}' counts steps.", hint="Give --timestep FS.")
    n_atoms = options.n_atoms or _atoms_of(arrays)
    if not n_atoms:
        raise UsageError(f"'{path.name}' does not say how many atoms there are.", hint="Give --atoms N.")
    for name in stored.values():
        _refuse_damaged(path.name, name, arrays[name], steps.get(name))
    # Quantities may be stored at different intervals: the samples that all have.
    common = sorted(set.intersection(*(set(steps[name].tolist()) for name in stored.values())))
    if not common:
        raise UsageError(f"'{path.name}' has no step at which {' and '.join(sorted(stored.values()))} are all stored.")
    series = {}
    for role, name in stored.items():
        at = np.searchsorted(steps[name], common)
        values: FloatArray = np.asarray(arrays[name].reshape(len(arrays[name]), -1)[at, 0], dtype=np.float64)
        finite = np.abs(values[np.isfinite(values)])
        kind = arrays[name].dtype
        spacing = float(np.spacing(finite.max().astype(kind))) if len(finite) and kind.kind == "f" else 0.0
        hidden = hidden_step(values, spacing)
        series[role] = Series(values, max(spacing, hidden), name, hidden)
    return [
        Run(
            file=path.name,
            number=1,
            engine="torch-sim",
            times_fs=np.array(common, dtype=np.float64) * options.timestep_fs,
            time_resolution_fs=0.0,
            series=series,
            n_atoms=n_atoms,
            timestep_fs=options.timestep_fs,
            ensemble=options.ensemble,
            exchange=("--ensemble",) if options.ensemble is Ensemble.THERMOSTAT else (),
        )
    ]


def _refuse_damaged(file: str, name: str, values: NDArray[Any], steps: NDArray[Any] | None) -> None:
    """Raises UsageError unless these are numbers, each with its step, in the order of the steps."""
    if values.ndim == 0 or values.size == 0 or values.dtype.kind not in "fiu":
        raise UsageError(f"'{file}': {name} has no numbers.")
    if steps is None or len(steps) != len(values) or steps.dtype.kind not in "fiu":
        raise UsageError(f"'{file}' does not give the step of each {name}: it is damaged.")
    if not (steps[1:] >= steps[:-1]).all() or not np.isfinite(steps).all():
        raise UsageError(f"'{file}': the steps of {name} are not in ascending order.")


def _atoms_of(arrays: dict[str, NDArray[Any]]) -> int | None:
    for name in ("positions", "velocities", "forces"):
        if name in arrays and arrays[name].ndim == 3:
            return int(arrays[name].shape[1])
    for name in ("atomic_numbers", "masses"):
        if name in arrays:
            return int(arrays[name].shape[-1])
    return None
