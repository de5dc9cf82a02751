"""SOAP-BPNN with random weights, through the loader that any metatomic export goes through."""

from __future__ import annotations

from importlib.util import find_spec

import pytest
import tiny_models

from ncbench.errors import MissingPackageError
from ncbench.models import conformance

pytestmark = [pytest.mark.models("metatomic"), pytest.mark.slow]


@pytest.fixture(scope="module")
def path() -> str:
    for module in ("metatrain", "spex", "sphericart"):
        pytest.importorskip(module)
    return tiny_models.checkpoint("tiny_soap_bpnn.py", "direct", name="soap.pt")


@pytest.mark.parametrize("mode", ["conservative", "direct"])
def test_conformance(path: str, mode: str) -> None:
    conformance.run_conformance(tiny_models.load_file(path, mode), tiny_models.water())


def test_only_conservative_forces_are_a_gradient(path: str) -> None:
    structure = tiny_models.water()[1]
    result = {
        mode: tiny_models.asymmetry(tiny_models.load_file(path, mode), structure) for mode in ("conservative", "direct")
    }
    assert result["conservative"] < tiny_models.FLOOR["float32"] * 10
    assert result["direct"] > 0.01


@pytest.mark.skipif(find_spec("sphericart") is not None, reason="its operators are here")
def test_missing_packages_are_named(tmp_path, monkeypatch) -> None:
    # The error of metatomic for an export with unregistered operators; the rest is the real loader.
    from ncbench.models.families.pet import adapter as pet

    def unknown(_path: str) -> None:
        raise RuntimeError("failed to load the model at 'x'. This is likely due to missing TorchScript extensions.")

    monkeypatch.setattr(pet, "load_atomistic_model", unknown)
    (tmp_path / "soap.pt").write_bytes(b"x")
    with pytest.raises(MissingPackageError, match="compiled operators"):
        tiny_models.load_file(str(tmp_path / "soap.pt"), "direct")
