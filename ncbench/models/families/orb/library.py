"""What the adapter uses of orb-models, whose modules and results differ between versions 0.5 and 0.7.

Version 0.7 needs Python 3.12. Its modules moved to ``orb_models.common`` and to subfolders of ``orb_models.forcefield``; functions of
published models return an adapter of structures as well, which holds the radius that version 0.5 keeps in the model; heads return
physical units; the spin multiplicity has another name; and one model (orbmol-v2) has electrostatics.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import torch

NEW = find_spec("orb_models.common") is not None
"""Whether this is version 0.7 or later."""

if NEW:
    import warp

    warp.config.log_level = warp.LOG_ERROR  # else its first use prints a banner
    from orb_models.common.atoms.batch.graph_batch import AtomGraphs
    from orb_models.common.atoms.graph_featurization import compute_pbc_radius_graph
    from orb_models.forcefield.inference.calculator import ORBCalculator
    from orb_models.forcefield.models.forcefield_heads import ForceHead
else:
    from orb_models.forcefield.base import AtomGraphs
    from orb_models.forcefield.calculator import ORBCalculator
    from orb_models.forcefield.featurization_utilities import compute_pbc_radius_graph
    from orb_models.forcefield.forcefield_heads import ForceHead

from orb_models.forcefield import pretrained  # noqa: E402  # what it imports is silent now
from orb_models.forcefield.pretrained import ORB_PRETRAINED_MODELS  # noqa: E402

__all__ = ["ORB_PRETRAINED_MODELS", "AtomGraphs", "ForceHead", "ORBCalculator", "compute_pbc_radius_graph"]

EDGES = ("list", "knn_scipy", "knn_brute_force", "knn_cuml_brute", "knn_cuml_rbc", *(("knn_alchemi",) if NEW else ()))
"""Values of the option ``edges``: ncbench's own list, or a method of the library."""
SYSTEM_NAMES = {"charge": "total_charge", "spin": "spin_multiplicity" if NEW else "total_spin"}
"""Options → features of the graph."""
_ARCHITECTURES = ("orb_v2_architecture", "orb_v3_conservative_architecture", "orb_v3_direct_architecture")


@dataclass(frozen=True)
class Loaded:
    """A model of the library, with what is needed to make its graphs."""

    model: Any
    structures: Any
    """The adapter of structures of version 0.7; ``None`` before."""
    radius_A: float
    neighbours: int

    @property
    def conservative(self) -> bool:
        """Whether its forces are minus the gradient of its energy."""
        return hasattr(self.model, "grad_forces_name")

    @property
    def has_electrostatics(self) -> bool:
        """Whether it adds Coulomb forces that are not minus the gradient of the energy that it differentiates."""
        return getattr(self.model, "coulomb_module", None) is not None

    def interaction_energy(self, features: torch.Tensor, graph: Any, n_atoms: int) -> torch.Tensor:
        """Energies without those of isolated atoms and pair repulsion, eV [R], of structures of ``n_atoms`` atoms."""
        head = self.model.heads["energy"]
        energy: torch.Tensor = head(features, graph)
        if not NEW:
            energy = head.normalizer.inverse(energy)
            if head.atom_avg:
                energy = energy.reshape(-1) * n_atoms
        return energy.reshape(-1)

    def stress(self, features: torch.Tensor, graph: Any) -> torch.Tensor:
        """The stress head's output, eV/Å³ [R, 6], in the order xx, yy, zz, yz, xz, xy."""
        stress: torch.Tensor = self.model.heads["stress"].predict(features, graph)
        return stress.reshape(-1, 6)

    def calculator(
        self, *, conservative: bool, edges: str | None, device: str
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Arguments of ``ORBCalculator``."""
        keywords: dict[str, Any] = {"edge_method": edges, "device": device}
        if NEW:
            return (self.model, self.structures), keywords
        return (self.model,), {**keywords, "conservative": conservative}


def make(
    function: Callable[..., Any], state: Mapping[str, Any], *, weights: str, device: str, precision: str, compiled: bool
) -> Loaded:
    """The model that a function of the table of published models makes, with as many layers as its weights ``state`` have.

    Raises:
        RuntimeError: the weights are of another architecture.
    """
    with with_layers_of(state):
        made = function(weights_path=weights, device=device, precision=precision, compile=compiled)
    if NEW:
        model, structures = made
        return Loaded(model, structures, float(structures.radius), int(structures.max_num_neighbors))
    config = made.system_config
    return Loaded(made, None, float(config.radius), int(config.max_num_neighbors))


@contextmanager
def with_layers_of(state: Mapping[str, Any]) -> Iterator[None]:
    """The library's functions build the number of layers of the published weights; a model of the user's own may have fewer."""
    parts = [key.split(".") for key in state if isinstance(key, str)]
    count = 1 + max((int(part[2]) for part in parts if part[:2] == ["model", "gnn_stacks"]), default=-1)
    if not count:
        yield
        return

    def with_layers(architecture: Callable[..., Any]) -> Callable[..., Any]:
        return lambda **arguments: architecture(**{**arguments, "num_message_passing_steps": count})

    before = {name: getattr(pretrained, name) for name in _ARCHITECTURES}
    try:
        for name, architecture in before.items():
            setattr(pretrained, name, with_layers(architecture))
        yield
    finally:
        for name, architecture in before.items():
            setattr(pretrained, name, architecture)
