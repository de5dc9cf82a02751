"""Values of --model, and error messages for invalid ones."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ncbench.errors import MissingPackageError, UntrustedCheckpointError, UsageError, WeightsError
from ncbench.models import offers, registry
from ncbench.models.loading import load_forcefield
from ncbench.models.registry import ModelRow, parse_spec
from ncbench.types import ForceMode, ModelRequest


def test_names_aliases_and_modes_are_resolved():
    assert parse_spec("sevennet").name == "sevennet-0"
    assert parse_spec("pet-m").mode is None
    # A row with one mode fixes the mode.
    assert parse_spec("SevenNet-0").mode is ForceMode.CONSERVATIVE
    parsed = parse_spec("pet-m:direct")
    assert (parsed.kind, parsed.name, parsed.mode) == ("named", "pet-m", ForceMode.DIRECT)
    for spec in ("package.module:factory", "package.model:factory", "a.pt:make"):
        assert parse_spec(spec).kind == "factory"


def test_files_are_assigned_to_their_family(tmp_path):
    path = tmp_path / "my.pt"
    path.write_bytes(b"x")
    assert parse_spec(str(path)).kind == "file"
    parsed = parse_spec(f"{path}:direct")
    assert (parsed.name, parsed.mode, parsed.label) == (str(path), ForceMode.DIRECT, "my.pt")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("petm", "Did you mean 'pet-m'"),
        ("quantum-9000", "models list"),
        ("pet-m:dirct", "Did you mean 'direct'"),
        ("sevennet-0:direct", "It has: conservative"),
        ("./nowhere.pt", "no model file"),
        ("nowhere.pt:direct", "no model file"),
        ("/", "is a folder"),
    ],
)
def test_missing_models_and_files_are_reported(spec, message):
    with pytest.raises(UsageError, match=message) as caught:
        parse_spec(spec)
    assert "Traceback" not in str(caught.value)


def test_empty_and_unknown_files_are_refused(tmp_path):
    empty, foreign, pickle = tmp_path / "a.pt", tmp_path / "b.pt", tmp_path / "c.ckpt"
    empty.touch()
    foreign.write_bytes(b"not a model")
    pickle.write_bytes(b"not a model either")
    with pytest.raises(UsageError, match="is empty"):
        parse_spec(str(empty))
    pytest.importorskip("metatomic_ase")
    with pytest.raises(WeightsError, match="not a metatomic model"):
        load_forcefield(ModelRequest(spec=str(foreign)))
    with pytest.raises(UntrustedCheckpointError, match="--trust-checkpoint"):
        load_forcefield(ModelRequest(spec=str(pickle)))


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (ModelRequest(spec="analytic-lj", device="cudaa"), "not a device"),
        (ModelRequest(spec="analytic-lj", dtype="float16"), "Unknown dtype"),
        (ModelRequest(spec="analytic-lj", options=(("sigm", "1"),)), "Did you mean 'sigma'"),
        (ModelRequest(spec="analytic-lj", options=(("sigma", "wide"),)), "not a number"),
        (ModelRequest(spec="analytic-lj", options=(("cutoff", "-1"),)), "not a finite, positive number"),
        (ModelRequest(spec="analytic-harmonic", options=(("k", "nan"),)), "not a finite"),
        (ModelRequest(spec="analytic-lj", checkpoint="x.pt"), "reads no weights"),
        (ModelRequest(spec="ncbench.models.families.analytic_ase:harmonic", checkpoint="x.pt"), "reads no weights"),
        (ModelRequest(spec="no.such.module:factory"), "cannot be imported"),
        (ModelRequest(spec="ncbench.models.families.analytic_ase:solenoidale"), "Did you mean 'solenoidal'"),
        (ModelRequest(spec="ncbench.units:FS"), "has no function"),
        (ModelRequest(spec="ncbench.errors:did_you_mean"), "factory .* failed"),
        (ModelRequest(spec="builtins.x:y"), "cannot be imported"),
    ],
)
def test_unsupported_requests_are_refused(request_, message):
    with pytest.raises(UsageError, match=message):
        load_forcefield(request_)


def test_cuda_without_a_gpu_is_refused():
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(UsageError, match="no CUDA GPU"):
        load_forcefield(ModelRequest(spec="analytic-lj", device="cuda"))


def test_a_missing_package_names_its_extra(monkeypatch):
    row = ModelRow(
        name="ghost", family="pet", modes=(ForceMode.DIRECT,), summary="", extra="ghost", package="no_such_package"
    )
    monkeypatch.setattr(registry, "models", lambda: (row,))
    with pytest.raises(MissingPackageError, match=r"pip install 'ncbench\[ghost\]'"):
        load_forcefield(ModelRequest(spec="ghost"))


def test_entry_points_add_models_and_a_broken_one_is_named(monkeypatch):
    class Entry:
        def __init__(self, name, result):
            self.name, self.value, self.found = name, "x.y:z", result

        def load(self):
            if self.found is None:
                raise ImportError("no x")
            return self.found

    def entries(*which):
        monkeypatch.setattr(
            offers.importlib.metadata, "entry_points", lambda group: list(which) * (group == "ncbench.models")
        )
        registry.forget()

    row = ModelRow(name="theirs", family="x.y", modes=(ForceMode.DIRECT,), summary="")
    for result in (row, [row], lambda: row, lambda: [row]):
        entries(Entry("theirs", result))
        assert registry.find("theirs") is row
        assert not registry.broken_entry_points()
    # Broken entry points do not affect others, and are named if a model is not found.
    entries(Entry("absent", None), Entry("theirs", [row]), Entry("foolish", [1]), Entry("hollow", lambda: None))
    assert registry.find("pet-m").family == "pet"
    assert registry.find("theirs") is row
    assert [text.split("'")[1] for text in registry.broken_entry_points()] == ["absent", "foolish", "hollow"]
    with pytest.raises(UsageError, match=r"'absent' .* no x"):
        registry.find("quantum-9000")
    monkeypatch.undo()
    registry.forget()


def test_the_table_needs_no_torch():
    code = "import sys, ncbench.models.registry as r; r.models(); [x.installed() for x in r.models()]; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_error_of_a_failed_download_names_the_file(monkeypatch):
    pytest.importorskip("sevenn")
    import requests

    def no_network(*_args, **_kwargs):
        raise requests.ConnectionError("no route to host")

    monkeypatch.setattr(requests, "get", no_network)
    with pytest.raises(WeightsError, match=r"Fetch https://.*sevennet_omat\.pth .*--checkpoint"):
        load_forcefield(ModelRequest(spec="sevennet-omat"))
    with pytest.raises(UntrustedCheckpointError, match="--trust-checkpoint"):
        load_forcefield(ModelRequest(spec="sevennet-omat", checkpoint=__file__))
    with pytest.raises(WeightsError, match="not a SevenNet checkpoint"):
        load_forcefield(ModelRequest(spec="sevennet-0", checkpoint=__file__, trust_checkpoint=True))
