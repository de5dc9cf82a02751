"""SevenNet, of sevenn."""

from __future__ import annotations

import re
from pathlib import Path

from ncbench.models.environment import BASE, EnvironmentSpec
from ncbench.models.family import Family
from ncbench.models.package_names import PackageNames
from ncbench.models.row import CONSERVATIVE, ModelRow

_SEVENNET = "Park, Kim, Hwang, Han, J. Chem. Theory Comput. 20, 4857 (2024)"


def _row(
    name: str, summary: str, *, source: str = "", aliases: tuple[str, ...] = (), modal: str = "", download: bool = False
) -> ModelRow:
    """A SevenNet, by the key of ``sevenn.util.pretrained_name_to_path``."""
    return ModelRow(
        name=name,
        aliases=(*aliases, name.replace("sevennet", "7net")),
        family="sevennet",
        modes=(CONSERVATIVE,),
        summary=summary,
        extra="sevennet",
        package="sevenn",
        environment=ENVIRONMENT.name,
        weights="download" if download else "in package",
        source=source or name,
        elements="89 elements",
        licence="GPL-3.0 (package)",
        citation=_SEVENNET,
        options={"modal": f"task of a multi-task model: {modal}"} if modal else {},
    )


def _names(source: str) -> list[str]:
    suffixes = re.findall(r"'(?:sevennet|7net)(-[\w-]+)'|f'\{n\}(-[\w-]+)'", source)
    return [f"sevennet{one or other}" for one, other in suffixes]


ENVIRONMENT = EnvironmentSpec(
    name="sevennet",
    summary="sevenn",
    requirements=(*BASE, "sevenn==0.13.*"),
    pins=Path(__file__).parent / "constraints.txt",
)
FAMILY = Family(
    name="sevennet",
    adapter=f"{__name__}.adapter",
    summary="SevenNet (sevenn)",
    tried="released weights",
    rows=(
        _row("sevennet-0", "SevenNet-0 (11Jul2024), the paper's SevenNet", aliases=("sevennet",)),
        _row("sevennet-0-22may2024", "SevenNet-0, first release", source="sevennet-0_22may2024"),
        _row("sevennet-l3i5", "SevenNet with l = 3 and five interactions"),
        _row("sevennet-mf-0", "SevenNet of two fidelities", modal="PBE or R2SCAN"),
        _row("sevennet-mf-ompa", "SevenNet trained on OMat24 and MPtrj + sAlex", modal="mpa or omat24", download=True),
        _row("sevennet-omat", "SevenNet trained on OMat24", download=True),
        _row("sevennet-omni", "SevenNet of many fidelities", modal="mpa, omat24, omol25_low, …", download=True),
    ),
    names=PackageNames(
        tested=Path(__file__).parent / "names.txt",
        shape=r"(sevennet|7net)-.+",
        package="sevenn",
        table="util.py",
        read=_names,
        row=lambda name: _row(
            name.replace("7net", "sevennet"), "as named in sevenn", modal="set by the model", download=True
        ),
    ),
    environment=ENVIRONMENT,
    takes_own_weights=True,
)
