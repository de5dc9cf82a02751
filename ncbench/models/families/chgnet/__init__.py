"""CHGNet, of chgnet: its weights come with the package."""

from __future__ import annotations

from pathlib import Path

from ncbench.models.environment import BASE, EnvironmentSpec
from ncbench.models.family import Family
from ncbench.models.row import CONSERVATIVE, ModelRow

_CHGNET = "Deng et al., CHGNet as a pretrained universal neural network potential, Nat. Mach. Intell. 5, 1031 (2023)"


def _row(name: str, summary: str, *, source: str, aliases: tuple[str, ...] = ()) -> ModelRow:
    """A CHGNet, by the package's name of its weights."""
    return ModelRow(
        name=name,
        family="chgnet",
        modes=(CONSERVATIVE,),
        summary=summary,
        aliases=aliases,
        extra="chgnet",
        package="chgnet",
        environment=ENVIRONMENT.name,
        weights="in package",
        source=source,
        weights_MB={"0.2.0": 4.6, "0.3.0": 4.9, "r2scan": 4.9}[source],
        elements="89 elements",
        licence="BSD-3-Clause (as modified by Lawrence Berkeley National Laboratory)",
        citation=_CHGNET,
        training="MPtrj (PBE, PBE+U)"
        if source != "r2scan"
        else "MPtrj, then r²SCAN calculations of the Materials Project",
    )


ENVIRONMENT = EnvironmentSpec(
    name="chgnet",
    summary="chgnet",
    requirements=(*BASE, "chgnet>=0.4.2,<0.5"),
    pins=Path(__file__).parent / "constraints.txt",
    disk_MB=1463,
)
FAMILY = Family(
    name="chgnet",
    adapter=f"{__name__}.adapter",
    summary="CHGNet (chgnet)",
    tried="released weights",
    rows=(
        _row("chgnet-0.3.0", "CHGNet, MPtrj", source="0.3.0", aliases=("chgnet",)),
        _row("chgnet-0.2.0", "CHGNet, MPtrj, first release", source="0.2.0"),
        _row("chgnet-r2scan", "CHGNet, fine-tuned on r²SCAN", source="r2scan"),
    ),
    environment=ENVIRONMENT,
    takes_own_weights=True,
)
