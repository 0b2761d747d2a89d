"""Weights out of other people's files."""

import collections
import os

import pytest
import safetensors.torch
import timm
import torch
import torchvision
from torch import nn

from ganvas import MissingData
from ganvas_plugins.backbones.timm import Timm
from ganvas_plugins.backbones.weights import fitted, load, read


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.norm = nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)


def small(seed=0):
    torch.manual_seed(seed)
    return Small()


def under(prefix, network):
    return {prefix + name: tensor for name, tensor in network.state_dict().items()}


def same(one, other):
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("nested", [None, "state_dict", "model"])
def test_a_state_dict_is_found_where_checkpoints_keep_it(tmp_path, nested):
    state = under("encoder.", small(1)) | {"head.weight": torch.zeros(3)}
    content = state if nested is None else {nested: state, "epoch": 3, "optimizer": {"state": {}}}
    torch.save(content, tmp_path / "weights.pth")
    network = small()
    load(network, tmp_path / "weights.pth", "encoder.")
    assert same(network, small(1))


def test_numbered_layers_are_found_by_their_order(tmp_path):
    source = small(1)
    torch.save(under("backbone.", nn.Sequential(source.first, source.norm)), tmp_path / "weights.pth")
    network = small()
    load(network, tmp_path / "weights.pth", "backbone.")
    assert same(network, source)


def test_order_counts_only_with_the_same_sorts_and_shapes():
    own = small().state_dict()
    numbered = nn.Sequential(small().first, small().norm).state_dict()
    assert list(fitted(own, numbered)) == list(own)
    assert fitted(own, numbered, ordered=False) is None
    assert fitted(own, dict(reversed(numbered.items()))) is None
    assert fitted(own, nn.Sequential(nn.Conv2d(1, 2, 5), nn.BatchNorm2d(2)).state_dict()) is None
    assert fitted(own, {**own, "first.weight": torch.zeros(1)}) is None


def test_safetensors_keep_no_order(tmp_path):
    path = tmp_path / "weights.safetensors"
    first, second = nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False)
    safetensors.torch.save_file(nn.Sequential(first, second).state_dict(), path)
    network = nn.Sequential(collections.OrderedDict(b=first, a=second))
    with pytest.raises(ValueError, match=r"missing: a.weight, b.weight; not in the model: 0.weight, 1.weight"):
        load(network, path)


def message(network, path, prefix=""):
    with pytest.raises(ValueError) as error:
        load(network, path, prefix)
    return str(error.value).replace(str(path), "FILE")


def test_the_prefix_that_fits_is_suggested(tmp_path):
    path = tmp_path / "weights.pth"
    torch.save(under("backbone.", small()) | {"head.weight": torch.zeros(3)}, path)
    assert message(small(), path) == (
        "the weights at FILE do not fit this model (missing: first.bias, first.weight, norm.bias, "
        "norm.num_batches_tracked, norm.running_mean and 2 more; not in the model: backbone.first.bias, "
        "backbone.first.weight, backbone.norm.bias, backbone.norm.num_batches_tracked, backbone.norm.running_mean and "
        "3 more); they do with prefix: 'backbone.'"
    )
    assert message(small(), path, "head.") == (
        "the weights at FILE under the prefix 'head.' do not fit this model (missing: first.bias, first.weight, "
        "norm.bias, norm.num_batches_tracked, norm.running_mean and 2 more; not in the model: weight); "
        "they do with prefix: 'backbone.'"
    )
    torch.save(under("module.q.", small()) | under("module.k.", small()), path)
    assert message(small(), path).endswith("; they do with prefix: 'module.k.' or 'module.q.'")
    torch.save(small().state_dict(), path)
    assert message(small(), path, "backbone.").endswith("; they do with prefix: ''")


def test_what_fits_nowhere_is_listed(tmp_path):
    path = tmp_path / "weights.pth"
    state = under("a.", small())
    state["a.first.weight"], state["a.more"] = torch.zeros(2, 1, 5, 5), torch.zeros(1)
    del state["a.norm.bias"]
    torch.save(state, path)
    assert message(small(), path, "a.") == (
        "the weights at FILE under the prefix 'a.' do not fit this model (missing: norm.bias; not in the model: more; "
        "of another shape: first.weight); check model, stem and prefix"
    )


class Trainer:
    """What a training script leaves beside the tensors."""


def test_files_that_would_run_code_are_not_read(tmp_path):
    path = tmp_path / "checkpoint.ckpt"
    torch.save({"state_dict": small().state_dict(), "hyper_parameters": Trainer()}, path)
    assert message(small(), path) == (
        f"the weights at FILE come with other objects ({__name__}.Trainer), and reading those runs code; if you trust "
        "the file, keep its tensors: torch.save(torch.load('FILE', weights_only=False)['state_dict'], 'weights.pth')"
    )
    content = torch.load(path, weights_only=False)["state_dict"]  # the advice works
    torch.save(content, tmp_path / "weights.pth")
    network = small(1)
    load(network, tmp_path / "weights.pth")
    assert same(network, small())


@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
def test_damaged_files_are_named(tmp_path, name):
    path = tmp_path / name
    with pytest.raises(MissingData, match=r"no weights at .*; put the file there or correct the backbone's option"):
        read(path)
    save = safetensors.torch.save_file if name.endswith("safetensors") else torch.save
    save(small().state_dict(), path)
    os.truncate(path, 100)
    with pytest.raises(MissingData, match=r"cannot read the weights at .*weights"):
        read(path)


def test_a_file_without_tensors_fits_nothing(tmp_path):
    torch.save([1, 2], tmp_path / "weights.pth")
    assert read(tmp_path / "weights.pth") == {}


def test_a_checkpoint_of_lightnings_form_over_a_numbered_backbone(tmp_path):
    torch.manual_seed(0)
    resnet = torchvision.models.resnet18(num_classes=3).eval()
    whole = nn.ModuleDict({"backbone": nn.Sequential(*list(resnet.children())[:-1]), "head": nn.Linear(512, 8)})
    path = tmp_path / "epoch=1.ckpt"
    torch.save({"state_dict": whole.state_dict(), "epoch": 1, "hyper_parameters": {"lr": 0.1}, "loops": {}}, path)
    images = torch.rand(2, 3, 64, 64) * 2 - 1
    made = Timm((3, 64, 64), weights=path, prefix="backbone.").eval()
    with torch.no_grad():
        torch.testing.assert_close(made(images), whole["backbone"](images).flatten(1))


def test_the_classification_layer_is_passed_over(tmp_path):
    torch.manual_seed(0)
    classifying = timm.create_model("test_resnet", num_classes=10).eval()
    torch.save(
        {"state_dict": {f"encoder.{name}": value for name, value in classifying.state_dict().items()}},
        tmp_path / "c.pth",
    )
    made = Timm((3, 64, 64), model="test_resnet", weights=tmp_path / "c.pth", prefix="encoder.").eval()
    images = torch.rand(2, 3, 64, 64) * 2 - 1
    with torch.no_grad():
        torch.testing.assert_close(classifying.fc(made(images)), classifying(images))


def test_misfits_are_found_without_storage(tmp_path):
    torch.save(small().state_dict(), tmp_path / "weights.pth")
    with torch.device("meta"):
        load(Small(), tmp_path / "weights.pth")
        with pytest.raises(ValueError, match="do not fit this model"):
            load(nn.Linear(2, 2), tmp_path / "weights.pth")
