"""PET and other metatomic models: the bundled one, exports (``mtt export``) and metatrain checkpoints."""

from __future__ import annotations

from pathlib import Path

from ncbench.models.environment import BASE, EnvironmentSpec
from ncbench.models.family import Family
from ncbench.models.row import BOTH, ModelRow

_BIGI = "Bigi, Langer, Ceriotti, The dark side of the forces, ICML 2025"

ENVIRONMENT = EnvironmentSpec(
    name="pet",
    summary="metatomic and metatrain: exports and checkpoints of PET and SOAP-BPNN",
    requirements=(
        *BASE,
        "metatomic-torch>=0.1.17,<0.2",
        "metatomic-ase>=0.1.1,<0.2",
        "metatrain[soap-bpnn]==2026.4.*",
    ),
    pins=Path(__file__).parent / "constraints.txt",
    disk_MB=1419,
)
FAMILY = Family(
    name="pet",
    adapter=f"{__name__}.adapter",
    summary="PET, SOAP-BPNN and other metatomic models (metatomic, metatrain)",
    tried="released weights",
    rows=(
        ModelRow(
            name="pet-m",
            family="pet",
            modes=BOTH,
            summary="small PET for liquid water with an energy head and a direct-force head, made by this project",
            extra="pet",
            package="metatomic_ase",
            environment=ENVIRONMENT.name,
            weights="bundled",
            source="pet-m.pt",
            elements="H, O",
            system="water-molecule",
            training="the DeePMD-kit water set",
            licence="BSD-3-Clause; trained on the DeePMD-kit water set (LGPL-3.0)",
            citation=_BIGI,
        ),
    ),
    environment=ENVIRONMENT,
    takes_own_weights=True,
    file_packages={".pt": "metatomic_ase", ".ckpt": "metatrain"},
)
