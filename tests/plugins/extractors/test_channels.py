"""Each channel by itself, and the modes of stacked digits, which can be counted with it."""

import json
import logging
import math

import pytest
import torch

import ganvas
from ganvas import Data, DataField, Dataset, Extractor
from ganvas_plugins.datasets.digits import Digits
from ganvas_plugins.datasets.stacked_mnist import StackedMnist
from ganvas_plugins.extractors.channels import ChannelsExtractor
from ganvas_plugins.extractors.classifier import InDomainClassifier
from ganvas_plugins.extractors.random import RandomExtractor
from ganvas_plugins.metrics.mode_coverage import ModeCoverage


class Means(Extractor):
    """Three features of a grey image; the first two are logits."""

    name, features, classes = "means", 3, 2

    def forward(self, images):
        assert images.shape[1] == 1
        return torch.stack([images.mean((1, 2, 3)) * factor for factor in (1, 2, 3)], dim=1)

    def unrounded(self, images):
        return -self(images)

    def logits(self, features):
        return features[:, :2]


class Halves(Dataset):
    """Dark and bright images."""

    fields = {"images": DataField((1, 4, 4)), "labels": DataField((), "int64", (0, 1))}
    classes = ("dark", "bright")
    fingerprint = "halves"

    def __len__(self):
        return 20

    def __getitem__(self, index):
        return {name: values[index] for name, values in self.tensors().items()}

    def tensors(self):
        labels = torch.arange(20) % 2
        return {"images": (labels * 255).byte().view(-1, 1, 1, 1).repeat(1, 1, 4, 4), "labels": labels}


def images(*shape):
    return torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_features_stand_side_by_side():
    extractor = ChannelsExtractor(extractor=Means)
    extractor.check(Data(StackedMnist(digits=Halves, length=5)))
    assert (extractor.name, extractor.features, extractor.classes) == ("channels-means", 9, 8)
    assert extractor.protocol == {"extractor": "channels-means", "each channel": {"extractor": "means"}}
    x = images(4, 3, 6, 5)
    expected = torch.cat([Means()(x[:, channel : channel + 1]) for channel in range(3)], dim=1)
    assert torch.equal(extractor(x), expected)
    assert torch.equal(extractor.unrounded(x), -expected)


def test_the_likeliest_class_is_made_of_the_channels_likeliest():
    extractor = ChannelsExtractor(extractor=Means)
    extractor.check(Data(StackedMnist(digits=Halves, length=5)))
    features = torch.randn(50, 9, generator=torch.Generator().manual_seed(0))
    joint = extractor.logits(features)
    single = features.unflatten(1, (3, 3))[:, :, :2].log_softmax(2)
    for a in range(2):
        for b in range(2):
            for c in range(2):
                expected = single[:, 0, a] + single[:, 1, b] + single[:, 2, c]
                torch.testing.assert_close(joint[:, 4 * a + 2 * b + c], expected)
    torch.testing.assert_close(joint.exp().sum(1), torch.ones(50))
    digits = single.argmax(2)
    assert torch.equal(joint.argmax(1), digits @ torch.tensor([4, 2, 1]))


class Pictures(Dataset):
    fields = {"images": DataField((3, 8, 8))}
    fingerprint = "pictures"

    def __len__(self):
        return 1

    def __getitem__(self, index):
        return {"images": torch.zeros(3, 8, 8, dtype=torch.uint8)}


def test_grey_images_and_those_without_channels_of_their_own():
    extractor = ChannelsExtractor(extractor=lambda: RandomExtractor(width=8, side=8))
    extractor.check(Data(Digits()))
    assert (extractor.features, extractor.classes) == (8, 0)
    assert torch.equal(extractor(images(2, 1, 8, 8)), RandomExtractor(width=8, side=8)(images(2, 1, 8, 8)))
    with pytest.raises(NotImplementedError):
        extractor.logits(torch.zeros(1, 8))
    with pytest.raises(ValueError) as refusal:
        extractor.check(Data(Pictures()))
    assert str(refusal.value) == (
        "the extractor channels-random-8 needs data whose channels are images of their own, such as stacked-mnist; use "
        "random-8 itself for these"
    )
    with pytest.raises(ValueError) as refusal:
        extractor(images(2, 3, 8, 8))
    assert str(refusal.value) == "these images have 3 channels, and those that it was told of 1"


SPEC = {
    "dataset": {"use": "stacked-mnist", "digits": "digits", "length": 30},
    "stages": {
        "gan": {
            "use": "gan",
            "generator": {"use": "mlp", "widths": [4]},
            "discriminator": {"use": "mlp", "widths": [4]},
            "steps": 1,
            "batch_size": 8,
            "evaluate": {
                "metrics": [
                    {
                        "use": "mode-coverage",
                        "extractor": {"use": "channels", "extractor": {"use": "classifier", "training": 2}},
                        "samples": 10,
                    }
                ]
            },
        }
    },
}


def test_the_judge_learns_single_digits_and_nothing_else(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("GANVAS_CACHE", str(tmp_path / "cache"))
    (tmp_path / "spec.yaml").write_text(json.dumps(SPEC))
    with caplog.at_level(logging.INFO, "ganvas"):
        run = ganvas.train(tmp_path / "spec.yaml", runs=tmp_path / "runs", device="cpu")
    learned = [line for line in caplog.messages if line.startswith("training a judge")]
    assert learned == ["training a judge on 1797 real images (once; it is kept)"]
    protocol = run.metrics("gan")["mode-coverage@channels-classifier.modes"]["protocol"]
    assert protocol["each channel"]["judge"]["shape"] == [1, 8, 8]


class Drawn:
    """A stage that draws given images."""

    algorithm, sampler, seed, device = None, None, 0, torch.device("cpu")

    def __init__(self, data, made):
        self.data, self.made, self.kept = data, made, {}

    def fakes(self, number):
        return self.made[:number], None

    def once(self, key, make):
        if key not in self.kept:
            self.kept[key] = make()
        return self.kept[key]


def test_modes_of_stacked_digits(tmp_path, monkeypatch):
    """A copy of the data has nearly all of 1,000 modes, a collapsed generator one."""
    monkeypatch.setenv("GANVAS_CACHE", str(tmp_path))
    number = 6000
    data = Data(StackedMnist(digits=Digits, length=number))
    others = Data(StackedMnist(digits=Digits, length=number, seed=1))
    real, labels = (torch.cat([batch[name] for batch in others.batches()]) for name in ("images", "labels"))

    def measured(made):
        extractor = ChannelsExtractor(extractor=lambda: InDomainClassifier(training=120))
        metric = ModeCoverage(data, extractor=lambda: extractor, samples=number)
        found = metric.measure(Drawn(data, made))
        assert list(found) == ["mode-coverage@channels-classifier.modes", "mode-coverage@channels-classifier.kl"]
        # The judge is the one of the single digits, and so are its cached weights.
        assert extractor.extractor.judge.protocol["data"] == Data(Digits()).identity
        return [value.value for value in found.values()], extractor

    (modes, kl), extractor = measured(real)
    counts = torch.bincount(labels, minlength=1000).double() / number
    sampled = float((torch.xlogy(counts, counts) + counts * math.log(1000)).sum())  # of 6,000 draws, by chance
    assert modes == pytest.approx(int((counts > 0).sum()), abs=6)
    assert modes > 985
    assert kl == pytest.approx(sampled, abs=0.02)
    assert extractor.extractor.accuracy > 0.95
    found = extractor.logits(extractor(real[:1000])).argmax(1)
    assert (found == labels[:1000]).double().mean() > 0.9

    (modes, kl), _ = measured(real[7:8].expand(number, -1, -1, -1))
    assert (modes, kl) == (1, pytest.approx(math.log(1000), rel=1e-12))
    # Two channels that are stuck: ten modes at the most.
    stuck = torch.cat([real[7:8, :2].expand(number, -1, -1, -1), real[:, 2:]], dim=1)
    (modes, kl), _ = measured(stuck)
    assert modes == 10
    assert kl == pytest.approx(math.log(100), abs=0.02)
