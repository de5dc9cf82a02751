"""Files and messages from untrusted sources are data: no code in them is run, and errors are one sentence."""

from __future__ import annotations

import ast
import hashlib
import io
import json
import os
import pickle
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ncbench.cli.main import _guarded
from ncbench.errors import NcbenchError, UntrustedCheckpointError, UsageError
from ncbench.models.loading import load_forcefield
from ncbench.models.registry import models
from ncbench.run import messages
from ncbench.store.checkpoint import MAGIC, FileCheckpoint, decode
from ncbench.store.files import DamagedFileWarning
from ncbench.store.store import Store
from ncbench.structures.datasets import MPTRJ, OC20, QM9, WATER_DFT
from ncbench.structures.files import read_frames
from ncbench.types import Job, ModelRequest

PACKAGE = Path(messages.__file__).resolve().parents[1]


class Payload:
    """Creates a folder when it is unpickled, as a hostile pickle would run code."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


@pytest.fixture
def mark(tmp_path: Path) -> Iterator[Path]:
    """A folder that exists only if a pickle was executed."""
    mark = tmp_path / "was-run"
    yield mark
    assert not mark.exists()


def of_torch(path: Path, mark: Path) -> None:
    torch.save({"state_dict": Payload(mark)}, path)


def of_old_torch(path: Path, mark: Path) -> None:
    torch.save({"state_dict": Payload(mark)}, path, _use_new_zipfile_serialization=False)


def bare(path: Path, mark: Path) -> None:
    path.write_bytes(pickle.dumps(Payload(mark)))


def of_numpy(path: Path, mark: Path) -> None:
    held = io.BytesIO()
    np.savez(held, state=np.array([Payload(mark)], dtype=object))
    path.write_bytes(held.getvalue())


KINDS = [of_torch, of_old_torch, bare, of_numpy]


def test_the_payload_runs_when_unpickled(tmp_path: Path) -> None:
    for kind in KINDS:
        path, mark = tmp_path / "hostile", tmp_path / kind.__name__
        kind(path, mark)
        if kind is of_numpy:
            np.load(path, allow_pickle=True)["state"]
        elif kind is bare:
            pickle.loads(path.read_bytes())  # noqa: S301 - to see it happen
        else:
            torch.load(path, weights_only=False)
        assert mark.exists()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["hostile.ckpt", "hostile.pt", "hostile.pth", "hostile.model", "hostile.ckpt:direct"])
def test_a_file_named_as_a_model_is_not_unpickled(kind, name: str, tmp_path: Path, mark: Path) -> None:
    path = tmp_path / name.partition(":")[0]
    kind(path, mark)
    with pytest.raises(NcbenchError):
        load_forcefield(ModelRequest(spec=str(tmp_path / name)))


@pytest.mark.parametrize(
    "row", [row for row in models() if row.package or row.family == "analytic"], ids=lambda row: row.name
)
def test_weights_given_to_a_model_are_not_unpickled(row, tmp_path: Path, mark: Path) -> None:
    # A family that is not installed refuses before reading; an installed one must refuse the file.
    path = tmp_path / "hostile.ckpt"
    of_torch(path, mark)
    with pytest.raises(NcbenchError):
        load_forcefield(ModelRequest(spec=row.name, checkpoint=str(path)))


def test_models_added_by_the_user_are_not_unpickled(tmp_path: Path, mark: Path, monkeypatch, capsys) -> None:
    path = tmp_path / "hostile.ckpt"
    of_torch(path, mark)
    monkeypatch.setenv("NCBENCH_MODELS", str(tmp_path / "models.toml"))
    assert _guarded(["models", "add", "mine", str(path)]) == 2
    message = capsys.readouterr().err
    assert message.startswith("error: ")


def test_refusals_name_the_option_to_trust_a_file(tmp_path: Path, mark: Path) -> None:
    pytest.importorskip("metatomic_ase")
    path = tmp_path / "hostile.ckpt"
    of_torch(path, mark)
    with pytest.raises(UntrustedCheckpointError, match="--trust-checkpoint"):
        load_forcefield(ModelRequest(spec=str(path)))


def old_trajectory(mark: Path) -> bytes:
    """ASE's first format was a pickle."""
    return b"PickleTrajectory" + pickle.dumps(Payload(mark))


@pytest.mark.parametrize("name", ["x.traj", "x.xyz", "x.trj", "x.pckl", "x.db", "x.json", "x.npy", "x"])
def test_structures_are_not_unpickled(name: str, tmp_path: Path, mark: Path) -> None:
    path = tmp_path / name
    for content in (old_trajectory(mark), pickle.dumps(Payload(mark))):
        path.write_bytes(content)
        with pytest.raises(UsageError):
            read_frames(path, slice(None), 3)


@pytest.mark.parametrize("kind", KINDS)
def test_files_of_a_results_folder_are_not_unpickled(kind, tmp_path: Path, mark: Path) -> None:
    job = tmp_path / "out" / "jobs" / ("0" * 20)
    job.mkdir(parents=True)
    for name in ("checkpoint.bin", "result.parquet", "provenance.json"):
        kind(job / name, mark)
    kind(job.parent / ".index.jsonl", mark)
    kind(tmp_path / "out" / "evaluate.parquet", mark)
    with warnings.catch_warnings(record=True) as message:
        warnings.simplefilter("always")
        store = Store(tmp_path / "out")
        assert store.finished_keys() == set()
        assert store.checkpoint(job.name).load() is None
        store.rebuild_tables("evaluate")
    assert {one.category for one in message} == {DamagedFileWarning}
    assert {path.name.partition(".damaged")[0] for path in tmp_path.rglob("*.damaged-1")} >= {
        "checkpoint.bin",
        "provenance.json",
        "evaluate.parquet",
    }


def sealed(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    """A forged checkpoint with a valid checksum."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return MAGIC + hashlib.sha256(held.getvalue()).digest() + held.getvalue()


def npy(array) -> bytes:
    held = io.BytesIO()
    np.save(held, array, allow_pickle=True)
    return held.getvalue()


def text(content: str) -> bytes:
    return npy(np.frombuffer(content.encode(), dtype=np.uint8))


HUGE = (
    b"\x93NUMPY\x01\x00v\x00{'descr': '<f8', 'fortran_order': False, 'shape': (4611686018427387904,), }".ljust(127)
    + b"\n"
)


@pytest.mark.parametrize(
    "content",
    [
        sealed({}),
        sealed({"other.npy": text("{}")}),
        sealed({"state.npy": text("[]")}),
        sealed({"state.npy": text("{")}),
        sealed({"state.npy": text("[" * 100_000)}),
        sealed({"state.npy": text('{"__array__": "a9"}')}),
        sealed({"state.npy": text('{"x": {"__scalar__": []}}')}),
        sealed({"state.npy": text('{"__mapping__": 5}')}),
        sealed({"state.npy": npy(np.array([1.5]))}),
        sealed({"state.npy": b"nothing"}),
        sealed({"state.npy": HUGE}),
        sealed({"state.npy": text("{}"), "a0.npy": HUGE}, zipfile.ZIP_DEFLATED),
        MAGIC + hashlib.sha256(b"").digest(),
        MAGIC + hashlib.sha256(b"PK").digest() + b"PK",
    ],
)
def test_a_forged_checkpoint_is_set_aside(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode(content)
    checkpoint = FileCheckpoint(tmp_path / "checkpoint.bin")
    checkpoint.path.write_bytes(content)
    with pytest.warns(DamagedFileWarning):
        assert checkpoint.load() is None
    assert not checkpoint.resumed


def test_names_in_a_checkpoint_are_not_paths(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    outside = tmp_path.parent / "escaped.npy"
    state = '{"x": {"__array__": "../escaped"}}'
    content = sealed({"state.npy": text(state), "../escaped.npy": npy(np.arange(3)), "/escaped.npy": npy(np.arange(2))})
    assert decode(content)["x"].tolist() == [0, 1, 2]
    assert not outside.exists()
    assert not list(tmp_path.iterdir())


def test_an_array_of_objects_in_a_checkpoint_is_refused(mark: Path) -> None:
    hostile = npy(np.array([Payload(mark)], dtype=object))
    for members in ({"state.npy": hostile}, {"state.npy": text("{}"), "a0.npy": hostile}):
        with pytest.raises(ValueError, match="allow_pickle"):
            decode(sealed(members))


@pytest.mark.parametrize("dataset", [WATER_DFT, QM9, MPTRJ, OC20], ids=lambda one: one.name)
def test_files_of_data_sets_stay_in_their_folder(dataset, tmp_path: Path) -> None:
    for file in dataset.files:
        assert (tmp_path / file.place).resolve().is_relative_to(tmp_path / "raw.githubusercontent.com")
        assert len(bytes.fromhex(file.sha256)) == 32


FORBIDDEN = {
    # ncbench does not unpack archives or execute files that it reads. Environments are made by uv, which does both.
    "tarfile", "shutil.unpack_archive", "zipfile.ZipFile", "pickle.load", "pickle.loads", "pickle.Unpickler", "dill", "joblib",
    "marshal.loads", "shelve.open", "eval", "exec", "yaml.load", "torch.jit.load",
}  # fmt: skip
VOUCHED = {("models.families.mace.adapter", "torch.load")}
"""Reads pickles, after ``require_trust``."""
BETWEEN_OUR_PROCESSES = {
    ("models.division.connection", "pickle.loads"),
    ("models.division.helper", "pickle.loads"),
}
"""Read from an anonymous pipe what the other end wrote, which is this program with the same models and no file."""


def _called(path: Path) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node
        elif isinstance(node, ast.Import | ast.ImportFrom):
            top = node.module if isinstance(node, ast.ImportFrom) else ""
            for alias in node.names:
                yield ".".join(filter(None, (top, alias.name))), ast.Call(ast.Name(alias.name), [], [])


def test_no_module_executes_or_unpickles_files() -> None:
    result = set()
    for path in PACKAGE.rglob("*.py"):
        name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        for call, node in _called(path):
            keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            if call in FORBIDDEN or call.split(".")[0] in FORBIDDEN:
                result.add((name, call))
            if call == "torch.load" and keywords.get("weights_only") != "True":
                result.add((name, call))
            if keywords.get("allow_pickle") == "True":
                result.add((name, call))
    assert result == VOUCHED | BETWEEN_OUR_PROCESSES


GARBAGE = [
    b"", b"\n", b"garbage\n", b"\xff\xfe", b"null", b"5", b"[]", b"{}", b'"kind"', b'{"kind": 5}', b'{"kind": null}',
    b"cos\nmkdir\n(S'x'\ntR.", b'{"kind": "done"', b"[" * 100_000, b'{"kind": ' * 50_000, b"9" * 10_000,
]  # fmt: skip


@pytest.mark.parametrize("line", GARBAGE)
def test_an_invalid_message_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        messages.decode(line)


def array(*content: object) -> bytes:
    return json.dumps({"kind": "test", "x": {"__array__": list(content)}}).encode()


@pytest.mark.parametrize(
    "line",
    [
        array(),
        array("<f8", [1]),
        array("<f8", [10**15], "AAAA"),
        array("<f8", [2**70], "AAAAAAAAAAA="),
        array("|O", [1], "AAAAAAAAAAA="),
        array("V1000000000000", [1], "AAAA"),
        array("__import__('os')", [1], "AAAA"),
        array(["<f8"], [1], "AAAA"),
        array({"names": ["x"], "formats": ["O"]}, [1], "AAAAAAAAAAA="),
        array("<f8", "x", "AAAAAAAAAAA="),
        array("<f8", [1], 5),
        array("<f8", [1], "not base64 at all"),
        array("<f8", [1], None),
        json.dumps({"kind": "test", "x": {"__array__": 5}}).encode(),
    ],
)
def test_an_invalid_array_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        messages.decode(line)


@pytest.mark.parametrize("kind", messages.FIELDS)
def test_an_incomplete_message_is_refused(kind: str) -> None:
    whole = {
        str: "x", int: 3, bool: True, dict: {}, list: [], (int, float): 0.5,
    }  # fmt: skip
    fields = {name: whole[wanted] for name, wanted in messages.FIELDS[kind].items()}
    assert messages.decode(messages.encode(kind, **fields)) == {"kind": kind, **fields}
    for name, value in fields.items():
        for wrong in (None, {} if isinstance(value, list) else [[]]):
            with pytest.raises(ValueError, match=name):
                messages.decode(messages.encode(kind, **{**fields, name: wrong}))
        with pytest.raises(ValueError, match=name):
            messages.decode(messages.encode(kind, **{other: fields[other] for other in fields if other != name}))


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["__array__", "kind", "job", "rows", "side", "x"]), inner, max_size=4)
    ),
    max_leaves=10,
)


@settings(max_examples=300)
@given(
    anything
    | st.builds(
        lambda kind, more: {**more, "kind": kind},
        st.sampled_from(list(messages.FIELDS)),
        st.dictionaries(st.text(max_size=9), anything),
    )
)
def test_arbitrary_json_is_decoded_or_refused(content) -> None:
    try:
        message = messages.decode(json.dumps(content).encode())
    except ValueError:
        return
    assert isinstance(message["kind"], str)


@settings(max_examples=200)
@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_decoded_or_refused(content: bytes) -> None:
    try:
        messages.decode(content)
    except ValueError:
        return
    assert json.loads(content)["kind"]


@given(st.data())
def test_a_truncated_message_is_refused(data: st.DataObject) -> None:
    line = messages.encode(
        "done", common={"x": np.arange(3)}, outcome={}, provenance={}, traceback="", interrupted=False
    )
    cut = line[: data.draw(st.integers(0, len(line) - 2))]
    with pytest.raises(ValueError, match=r"."):
        messages.decode(cut)


@settings(max_examples=200)
@given(anything)
def test_arbitrary_job_content_is_decoded_or_refused(content) -> None:
    known = {"diagnostic": "evaluate", "model": {"spec": "analytic-lj"}, "system": {"name": "argon"}, "settings": {}}
    for name in known:
        try:
            job = messages.job_from({**known, name: content})
        except (TypeError, ValueError, KeyError, AttributeError, UsageError):
            continue
        assert isinstance(job, Job)
