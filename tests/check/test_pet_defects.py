"""The quick suite on the bundled pet-m with the defects dialled in, against a baseline of the model as it is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from ncbench.check import suite as suites
from ncbench.check.metrics import BY_NAME
from ncbench.check.suite import Suite
from ncbench.cli.main import _guarded
from ncbench.models import registry

pytestmark = [pytest.mark.slow, pytest.mark.models("metatomic_ase")]

ENTRY_POINT = "[ncbench.models]\ndefects = dialled.pet_defects:ROWS\n"
THESE = ("lambda", "consistency")
"""What sees these defects."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """With ``baseline.json`` of pet-m, where the defective models are those of an installed package."""
    current = tmp_path_factory.mktemp("defects")
    info = current / "offer" / "pet_defects-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: pet-defects\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINT)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(current / "offer"))
        registry.forget()
        written = ["baseline", "write", "--model", "pet-m:conservative", "--file", str(current / "baseline.json")]
        assert typed(current, *written) == 0
        yield current
    registry.forget()


def typed(folder: Path, *words: str) -> int:
    return _guarded([*words, "--out", str(folder / "out"), "--quiet", "--threads", "1"])


def checked(folder: Path, capsys: pytest.CaptureFixture[str], model: str, baseline: Path) -> tuple[int, set[str]]:
    """Exit code, and metrics that are worse."""
    capsys.readouterr()
    code = typed(folder, "check", "--model", model, "--baseline", str(baseline), "--json")
    findings = json.loads(capsys.readouterr().out)["findings"]
    assert "missing" not in {one["state"] for one in findings}
    return code, {one["metric"] for one in findings if one["state"] == "worse"}


def test_pet_m_loaded_as_an_external_model_without_defects_passes(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert checked(folder, capsys, "pet-m-none", folder / "baseline.json") == (0, set())


@pytest.mark.parametrize(
    ("defect", "seen"),
    [
        ("swirl", {"lambda", "energy_force_gap"}),
        ("limited", {"energy_jump"}),
        ("wrong-stress", {"stress_gap"}),
        ("half", {"net_force"}),
    ],
)
def test_each_defect_fails_the_check(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, defect: str, seen: set[str]
) -> None:
    # The parts of the suite that detect the defect; the others would only take time.
    monkeypatch.setattr(suites, "SETTINGS", {Suite.QUICK: {name: suites.SETTINGS[Suite.QUICK][name] for name in THESE}})
    content = json.loads((folder / "baseline.json").read_text())
    content["metrics"] = {name: one for name, one in content["metrics"].items() if BY_NAME[name].source in THESE}
    (folder / "part.json").write_text(json.dumps(content))
    code, worse = checked(folder, capsys, f"pet-m-{defect}", folder / "part.json")
    assert code == 1
    assert seen <= worse
    if defect == "wrong-stress":
        assert worse == seen
