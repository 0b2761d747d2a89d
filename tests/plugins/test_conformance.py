"""Every bundled component keeps the contract of its kind. A component without a line in OPTIONS is tried as it is."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
import timm
from safetensors.torch import save_file

from ganvas.registry.plugins import Host
from ganvas.testing import Check, conformance

sys.path.insert(0, str(Path(__file__).parents[1]))
import miniatures

# Small data sets in their real formats. Options are checked, and their paths with them, when tests are collected.
FOLDER = tempfile.TemporaryDirectory()
ROOT = Path(FOLDER.name)
miniatures.write_flat_folder(ROOT / "flat", number=6, height=20, width=16)
miniatures.write_cifar10(ROOT / "cifar10", per_batch=2)
miniatures.write_celeba(ROOT / "celeba", number=8)
miniatures.write_afhq(ROOT / "afhq", per_class=1, side=64)
miniatures.write_idx_folder(ROOT / "idx", train=20, test=10)
save_file(timm.create_model("test_resnet", num_classes=0).state_dict(), ROOT / "test_resnet.safetensors")

SMALL = {"use": "timm", "model": "test_resnet"}

# Small networks, and what has no default.
OPTIONS: dict[str, dict[str, Any]] = {
    "dataset/image-folder": {"root": str(ROOT / "flat"), "flip": True},
    "dataset/cifar10": {"root": str(ROOT / "cifar10"), "flip": True},
    "dataset/celeba": {"root": str(ROOT / "celeba"), "size": 16},
    "dataset/afhq": {"root": str(ROOT / "afhq"), "size": 16},
    "dataset/fashion-mnist": {"root": str(ROOT / "idx")},
    "dataset/mnist": {"root": str(ROOT / "idx")},
    "dataset/digits": {"flip": True, "holdout": 0.98},
    "dataset/openmoji": {"groups": ["component"], "size": 16, "flip": True},
    "dataset/gaussian-mixture": {"samples": 100},
    "augmentation/ada": {"start": 0.7, "filtering": 1.0, "noise": 1.0, "cutout": 1.0},
    "augmentation/apa": {"start": 0.5},
    "augmentation/byol-views": {"view": "second"},
    "backbone/timm": {"model": "test_resnet"},
    "backbone/alexnet": {"layer": "conv3"},
    "backbone/efficientnet-lite0": {"pretrained": False},
    "extractor/classifier": {"training": 2},
    "generator/dcgan": {"channels": 4, "latent": 8},
    "generator/eigengan": {"channels": 4, "basis": 2, "noise": 4},
    "generator/stylegan2": {"channels": 4, "latent": 8, "style": 8, "mapping_layers": 2},
    "generator/r3gan": {"channels": 4, "latent": 8, "blocks": 1, "group_size": 4},
    "generator/mlp": {"widths": [8], "latent": 4},
    "generator/resnet": {"channels": 4, "latent": 4},
    "generator/biggan": {"channels": 1, "latent": 4},
    "discriminator/mlp": {"widths": [8]},
    "discriminator/resnet": {"channels": 4},
    "discriminator/biggan": {"channels": 1},
    "discriminator/global": {"channels": 4},
    "discriminator/patch": {"channels": 4, "layers": 2},
    "discriminator/dcgan": {"channels": 4},
    "discriminator/projected": {"network": SMALL, "channels": 4},
    "discriminator/stylegan2": {"channels": 4},
    "discriminator/r3gan": {"channels": 4, "blocks": 1, "group_size": 4},
    "discriminator/unet": {"channels": 4},
    "regularizer/lecam": {"start": 0},
    "regularizer/consistency": {"method": "icr"},
    "translator/resnet": {"channels": 4, "blocks": 1},
    "algorithm/self-supervised": {"backbone": SMALL},
    "algorithm/latent-conditional": {"condition": {"use": "latent", "encoder": "features", "samples": 8}},
    "algorithm/evaluation": {"metrics": []},
    "algorithm/cyclegan": {
        "translator": {"use": "resnet", "channels": 4, "blocks": 1},
        "discriminator": {"use": "patch", "channels": 4, "layers": 1},
    },
    "sampler/discriminator-rejection": {"burn_in": 300},
    "sampler/latent-langevin": {"steps": 3},
    "metric/fid": {"extractor": "ganvas.testing/double", "samples": 20},
    "metric/attribute-accuracy": {"training": 2, "samples": 20},
    "metric/diversity": {"samples": 20},
    "metric/knn": {"k": 3},
    "metric/linear-probe": {"iterations": 5},
    "metric/neighbours": {"samples": 20},
    "metric/clusters": {"restarts": 1},
    "metric/kid": {"extractor": "ganvas.testing/double", "samples": 20, "subsets": 3, "size": 10},
    "metric/inception-score": {"extractor": {"use": "classifier", "training": 2}, "samples": 20, "splits": 2},
    "metric/precision-recall": {"extractor": "ganvas.testing/double", "samples": 20},
    "metric/density-coverage": {"extractor": "ganvas.testing/double", "samples": 20},
    "metric/intra-class-fid": {"extractor": "ganvas.testing/double", "samples": 20},
    "metric/mode-coverage": {"extractor": {"use": "classifier", "training": 2}, "samples": 20},
    "metric/condition-accuracy": {"extractor": {"use": "classifier", "training": 2}, "samples": 20},
    "metric/memorisation": {"extractor": "ganvas.testing/double", "samples": 20, "pictures": 2},
    "extractor/random": {"width": 8, "side": 16},
    "extractor/timm": {"model": "test_resnet", "weights": str(ROOT / "test_resnet.safetensors")},
    "extractor/channels": {"extractor": {"use": "classifier", "training": 2}},
    "dataset/stacked-mnist": {"digits": {"use": "digits", "flip": True}, "length": 50},
    "metric/chamfer": {"extractor": "ganvas.testing/double", "samples": 20},
    "metric/classification-accuracy-score": {"training": 2, "samples": 20},
    "metric/perceptual-path-length": {"extractor": "ganvas.testing/double", "samples": 20},
}
SLOW = {"extractor/efficientnet-lite0", "backbone/efficientnet-lite0"}


def checks() -> list[Any]:
    """The checks of all components; those that import much or compute long are slow."""
    found = []
    for entry in Host().entries():
        name = f"{entry.kind}/{entry.name}"
        marks = [pytest.mark.slow] if name in SLOW else []
        for check in conformance(name, **OPTIONS.get(name, {})):
            # The quick part is one case of each check; the other sizes and channels are slow by their number.
            more = [pytest.mark.slow] if "32x48" in check.__name__ else []
            found.append(pytest.param(check, id=f"{name}-{check.__name__}", marks=marks + more))
    return found


@pytest.mark.parametrize("check", checks())
def test_conformance(check: Check) -> None:
    check()
