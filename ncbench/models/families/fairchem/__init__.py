"""eSEN and UMA, of fairchem-core 2."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from ncbench.models.environment import BASE, EnvironmentSpec
from ncbench.models.family import Family
from ncbench.models.options import NET_FORCE_REMOVAL
from ncbench.models.package_names import PackageNames
from ncbench.models.row import BOTH, CONSERVATIVE, DIRECT, ModelRow, first_match

_ESEN = "Fu et al., Learning smooth and expressive interatomic potentials for physical property prediction, ICML 2025"
_UMA = "Wood et al., UMA: a family of universal models for atoms, arXiv:2506.23971 (2025)"
_TRAINING = {"uma": "OMol25, OMat24, OC20, ODAC and OMC25", "omol": "OMol25", "oc25": "OC25", "odac25": "ODAC25"}
"""Part of a name → training data."""


def _row(name: str, summary: str, *, repository: str, **more: Any) -> ModelRow:
    """An eSEN or UMA, by the key of fairchem-core's ``pretrained_mlip.available_models``."""
    # The checkpoint decides for names without a mode.
    modes = (DIRECT,) if "-direct-" in name else (CONSERVATIVE,) if re.search("uma|conserving", name) else BOTH
    fields: dict[str, Any] = {
        "name": name,
        "family": "fairchem",
        "modes": modes,
        "summary": summary,
        "extra": "fairchem",
        "package": "fairchem.core.units",
        "environment": ENVIRONMENT.name,
        "weights": "download",
        "source": name,
        "training": first_match(_TRAINING, name),
        "elements": "Z up to 100",
        "system": "water-molecule" if name.endswith("omol") else "al-fcc",
        "licence": f"FAIR Chemistry licence; gated: https://huggingface.co/{repository}",
        "citation": _UMA if name.startswith("uma") else _ESEN,
        "options": {
            "task": "omol, omat, oc20, oc25, odac or omc, where the model has several (omat)",
            "charge": "total charge (0)",
            "spin": "spin multiplicity (1 for omol, else 0)",
            "net-force-removal": NET_FORCE_REMOVAL,
            "tf32": "on or off (off)",
            "compile": "torch.compile: on or off (off)",
            "activation-checkpointing": "less memory, more time: on or off (off)",
        },
    }
    return ModelRow(**{**fields, **more})


_REPOSITORIES = {"uma": "facebook/UMA", "omol": "facebook/OMol25", "oc25": "facebook/OC25", "odac25": "facebook/ODAC25"}
"""Part of a name → gated repository of the weights."""


def _row_of_name(name: str) -> ModelRow:
    repository = next((known for part, known in _REPOSITORIES.items() if part in name), "facebook")
    return _row(name, _summary(name), repository=repository)


def _summary(name: str) -> str:
    family = {"uma": "UMA", "esen": "eSEN", "allscaip": "AllScAIP"}[name.partition("-")[0]]
    return f"{family} {' '.join(name.split('-')[1:])}"


def _names(source: str) -> list[str]:
    return list(json.loads(source))


ENVIRONMENT = EnvironmentSpec(
    name="fairchem",
    summary="fairchem-core 2: eSEN and UMA",
    requirements=(*BASE, "fairchem-core>=2.24,<3"),
    pins=Path(__file__).parent / "constraints.txt",
    disk_MB=2421,
)
FAMILY = Family(
    name="fairchem",
    adapter=f"{__name__}.adapter",
    summary="eSEN and UMA (fairchem-core 2)",
    tried="tiny checkpoints",
    rows=(
        _row("esen-sm-direct-all-omol", "eSEN, small, direct forces, OMol25", repository="facebook/OMol25"),
        _row(
            "esen-sm-conserving-all-omol",
            "eSEN, small, conservative, OMol25",
            repository="facebook/OMol25",
            aliases=("esen",),
        ),
        _row("esen-md-direct-all-omol", "eSEN, medium, direct forces, OMol25", repository="facebook/OMol25"),
        _row("esen-sm-conserving-all-oc25", "eSEN, small, conservative, OC25", repository="facebook/OC25"),
        _row("esen-md-direct-all-oc25", "eSEN, medium, direct forces, OC25", repository="facebook/OC25"),
        _row("uma-s-1p2p1", "UMA 1.2.1, small", repository="facebook/UMA", aliases=("uma", "uma-s")),
        _row("uma-s-1p2", "UMA 1.2, small", repository="facebook/UMA"),
        _row("uma-s-1p1", "UMA 1.1, small", repository="facebook/UMA"),
        _row("uma-m-1p1", "UMA 1.1, medium", repository="facebook/UMA", aliases=("uma-m",)),
    ),
    names=PackageNames(
        tested=Path(__file__).parent / "names.txt",
        # eSEN-30M belongs to fairchem-core 1.
        shape=r"(uma|esen(?!-30m)|allscaip)-.+",
        package="fairchem.core.calculate",
        table="pretrained_models.json",
        read=_names,
        row=_row_of_name,
    ),
    environment=ENVIRONMENT,
    takes_own_weights=True,
)
