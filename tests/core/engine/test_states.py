"""Saved states: what goes in comes out, and what is damaged does not."""

from __future__ import annotations

import errno
import math
import os
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import nn

from ganvas.engine import states
from ganvas.engine.errors import BrokenState, ResourceError

DTYPES = (
    torch.float64,
    torch.float32,
    torch.float16,
    torch.bfloat16,
    torch.int64,
    torch.int32,
    torch.int16,
    torch.int8,
    torch.uint8,
    torch.bool,
    torch.complex64,
)


def round_trip(tree: Any, folder: Path) -> Any:
    states.save(folder / "state.safetensors", tree)
    return states.load(folder / "state.safetensors")


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 4), (2, 3)], ids=str)
def test_every_kind_of_tensor(dtype: torch.dtype, shape: tuple[int, ...], tmp_path: Path) -> None:
    tensor = (torch.arange(math.prod(shape)).reshape(shape) % 3).to(dtype)
    back = round_trip(tensor, tmp_path)
    assert back.dtype == dtype
    assert back.shape == shape
    assert torch.equal(back, tensor)


def test_tensors_that_lie_in_memory_in_their_own_way(tmp_path: Path) -> None:
    whole = torch.arange(24.0).reshape(2, 3, 2, 2)
    tree = {
        "transposed": whole.transpose(0, 1),
        "part": whole[:, 1],
        "expanded": torch.tensor(3.0).expand(2, 2),
        "channels last": whole.to(memory_format=torch.channels_last),
        "shared": whole,
        "shared again": whole,
        "parameter": nn.Parameter(torch.ones(2)),
        "not a number": torch.tensor([math.nan, math.inf, -math.inf, -0.0]),
    }
    back = round_trip(tree, tmp_path)
    assert list(back) == list(tree)
    for name, tensor in tree.items():
        assert torch.equal(back[name].view(torch.int32), tensor.detach().contiguous().view(torch.int32)), name
    assert not back["parameter"].requires_grad
    back["shared"].zero_()
    assert back["shared again"].sum() == whole.sum()


def test_plain_values_keep_their_types(tmp_path: Path) -> None:
    tree = {
        "none": None,
        "flags": [True, False],
        "integers": (0, -1, 2**80),
        "floats": [0.1, -0.0, 1e-320, math.inf, -math.inf],
        "text": 'quote " newline \n snow ☃',
        "empty": [{}, [], (), ""],
        "groups": {0: {"step": 1}, -3: (torch.ones(1), [torch.zeros(2)]), None: 1, True: 2, 0.5: 3},
    }
    back = round_trip(tree, tmp_path)
    assert repr(back) == repr(tree)
    assert math.isnan(round_trip([math.nan], tmp_path)[0])
    assert round_trip(7, tmp_path) == 7
    assert type(round_trip(OrderedDict(a=1), tmp_path)) is dict


def test_names_that_look_alike_stay_apart(tmp_path: Path) -> None:
    tree = {"a.b": torch.tensor(1), "a": {"b": torch.tensor(2)}, "c": {1: torch.tensor(3), "1": torch.tensor(4)}}
    assert repr(round_trip(tree, tmp_path)) == repr(tree)


def test_states_of_modules_and_optimizers(tmp_path: Path) -> None:
    class Counts(nn.BatchNorm1d):
        def get_extra_state(self) -> dict[str, Any]:
            return {"seen": [1, 2.5], "queue": torch.ones(2)}

        def set_extra_state(self, state: dict[str, Any]) -> None:
            self.loaded = state

    def build(seed: int) -> tuple[nn.Module, torch.optim.Optimizer]:
        torch.manual_seed(seed)
        network = nn.Sequential(nn.Linear(2, 3), Counts(3))
        return network, torch.optim.Adam(network.parameters(), betas=(0.5, 0.9))

    network, optimizer = build(0)
    network(torch.randn(4, 2)).square().sum().backward()
    optimizer.step()
    back = round_trip({"network": network.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path)
    other, other_optimizer = build(1)
    other.load_state_dict(back["network"])
    other_optimizer.load_state_dict(back["optimizer"])
    assert repr(other.state_dict()) == repr(network.state_dict())
    assert repr(other_optimizer.state_dict()) == repr(optimizer.state_dict())
    assert other[1].loaded["seen"] == [1, 2.5]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"a": {"b": [1, {3}]}}, "the state 'a.b.1' holds a set;"),
        ({"rng": torch.Generator()}, "the state 'rng' holds a Generator;"),
        ({"a": {(1, 2): 3}}, "the state 'a' holds a dict with keys that are not plain;"),
        (b"bytes", "the state '' holds a bytes;"),
    ],
)
def test_what_cannot_be_saved_is_named(tree: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(TypeError) as caught:
        states.save(tmp_path / "state.safetensors", tree)
    assert str(caught.value) == (
        f"{message} get_extra_state may give tensors, numbers, strings and dicts or lists of them"
    )
    assert list(tmp_path.iterdir()) == []


def test_one_wrong_bit_anywhere_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    states.save(path, {"weights": torch.arange(5.0), "index": 12, "name": "gan", "flags": torch.tensor([True])})
    good = path.read_bytes()
    for place in range(len(good)):
        path.write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
        with pytest.raises(BrokenState, match=r"is damaged|was not written by this version"):
            states.load(path)
    path.write_bytes(good)
    assert states.load(path)["index"] == 12


@pytest.mark.parametrize(
    ("old", "new"),
    [(b'\\"v\\": 12', b'\\"v\\": 13'), (torch.tensor(2.5).numpy().tobytes(), torch.tensor(2.6).numpy().tobytes())],
    ids=["in the skeleton", "in a tensor"],
)
def test_the_checksum_covers_numbers_and_tensors(old: bytes, new: bytes, tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    states.save(path, {"weights": torch.tensor([1.0, 2.5]), "index": 12})
    content = path.read_bytes()
    assert content.count(old) == 1
    path.write_bytes(content.replace(old, new))
    with pytest.raises(BrokenState) as caught:
        states.load(path)
    assert str(caught.value) == f"{path} is damaged (its checksum does not fit)"


def test_a_file_that_was_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    states.save(path, {"weights": torch.arange(100.0)})
    good = path.read_bytes()
    for length in (0, 4, 8, 60, len(good) // 2, len(good) - 1):
        path.write_bytes(good[:length])
        with pytest.raises(BrokenState, match="is damaged"):
            states.load(path)


def test_files_of_others(tmp_path: Path) -> None:
    path = tmp_path / "theirs.safetensors"
    message = f"{path} was not written by this version of ganvas"
    for metadata in (None, {"format": "pt"}, {"format": "ganvas-state-0", "skeleton": "{}"}):
        safetensors.torch.save_file({"weights": torch.ones(2)}, path, metadata)
        with pytest.raises(BrokenState) as caught:
            states.load(path)
        assert str(caught.value) == message
    safetensors.torch.save_file({"weights": torch.ones(2)}, path, {"format": "ganvas-state-1"})
    with pytest.raises(BrokenState, match="checksum"):
        states.load(path)
    with pytest.raises(BrokenState, match="there is no file"):
        states.load(tmp_path / "nowhere.safetensors")
    with pytest.raises(BrokenState, match="is damaged"):
        states.load(tmp_path)


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.ENOSPC, "the disk is full: {} could not be written (nothing older was touched)"),
        (errno.EDQUOT, "the disk is full: {} could not be written (nothing older was touched)"),
        (errno.EIO, "{} could not be written: Input/output error"),
    ],
)
def test_a_full_disk_leaves_the_old_file(
    number: int, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "state.safetensors"
    states.save(path, {"index": 1})
    before = path.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ResourceError) as caught:
        states.save(path, {"index": 2, "large": torch.zeros(1000)})
    assert str(caught.value) == message.format(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "gone" / "state.safetensors"
    with pytest.raises(ResourceError) as caught:
        states.save(path, {})
    assert str(caught.value) == f"{path} could not be written: No such file or directory"


def test_no_pickle_is_ever_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*given: Any, **named: Any) -> Any:
        raise AssertionError("pickle")

    for module, name in [(pickle, "loads"), (pickle, "load"), (pickle, "Unpickler"), (torch, "load"), (torch, "save")]:
        monkeypatch.setattr(module, name, refuse)
    assert round_trip({"a": torch.ones(1), "b": [None]}, tmp_path)["a"].item() == 1
    torch_file = tmp_path / "theirs.pt"
    torch_file.write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(BrokenState):
        states.load(torch_file)
