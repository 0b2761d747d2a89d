"""Training a classifier on frozen features."""

import pytest
import torch
from torch import nn

from ganvas import Condition, Data, DataField, Dataset, Encoder, Segment, Step, Trained
from ganvas_plugins.algorithms import classifier as module
from ganvas_plugins.algorithms.classifier import ClassifierTraining
from ganvas_plugins.classifiers.linear import Linear

NUMBER = 60
SEGMENTS = (Segment("one-hot", 3),)


class Blobs(Dataset):
    """Three classes: which third of the image is bright."""

    fields = {"images": DataField((1, 3, 3)), "labels": DataField((), "int64", None)}
    classes = ("top", "middle", "bottom")
    fingerprint = "blobs"

    def __len__(self):
        return NUMBER

    def __getitem__(self, index):
        return {name: values[index] for name, values in self.tensors().items()}

    def tensors(self):
        labels = torch.arange(NUMBER) % 3
        images = torch.randint(100, (NUMBER, 1, 3, 3), generator=torch.Generator().manual_seed(0))
        images[torch.arange(NUMBER), 0, labels] += 150
        return {"images": images.byte(), "labels": labels}


class OneHot(Condition):
    shape, names, needs = (3,), Blobs.classes, frozenset({"labels"})

    def __init__(self, data, segments=SEGMENTS):
        super().__init__()
        self.segments = segments

    def of(self, batch):
        return torch.nn.functional.one_hot(batch["labels"], 3).float()


class Counting(Encoder):
    """A frozen random map with batch normalisation that counts what it encodes."""

    views = ()
    features = 6

    def __init__(self):
        super().__init__()
        self.linear, self.norm, self.encoded = nn.Linear(9, 6), nn.BatchNorm1d(6), 0

    def encode(self, images):
        self.encoded += len(images)
        return self.norm(self.linear(images.flatten(1)))


def make(encoder=True, **options):
    torch.manual_seed(0)
    trained = Trained(Counting()) if encoder else None
    return ClassifierTraining(Data(Blobs()), encoder=trained, **{"classifier": Linear, "condition": OneHot} | options)


def step_of(algorithm, index):
    step = Step(
        index=0,
        size=len(index),
        steps=10,
        device=torch.device("cpu"),
        rng=torch.Generator(),
        draw=lambda source, size: {},
        note_length=lambda: None,
    )
    whole = next(iter(algorithm.data.batches()))
    step.batch = {name: values[index] for name, values in whole.items()}
    return step


def test_cached_features_are_those_computed_anew(monkeypatch):
    algorithm = make()
    batch = step_of(algorithm, torch.tensor([7, 3, 3, 59])).batch
    kept = algorithm.examples(batch)
    monkeypatch.setattr(module, "MEMORY", 0)
    computed = algorithm.examples(batch)
    torch.testing.assert_close(kept[0], computed[0])
    assert torch.equal(kept[1], computed[1])


def test_each_image_is_encoded_once():
    algorithm = make()
    for _ in range(3):
        algorithm.classifier_terms(step_of(algorithm, torch.arange(10)))
    assert algorithm.classifier.encoder.encoded == NUMBER


def test_the_augmented_batch_is_not_looked_at():
    algorithm = make()
    step = step_of(algorithm, torch.arange(10))
    expected = algorithm.classifier_terms(step)["classification"]
    step.batch["images"] = step.batch["images"].flip(3)
    assert torch.equal(algorithm.classifier_terms(step)["classification"], expected)


@pytest.mark.parametrize("encoder", [True, False])
def test_learns_the_classes_and_leaves_the_encoder_alone(encoder):
    algorithm = make(encoder)
    before = encoder and {name: value.clone() for name, value in algorithm.classifier.encoder.state_dict().items()}
    optimizer = torch.optim.Adam(algorithm.classifier.parameters(), lr=0.05)
    for _ in range(150):
        step = step_of(algorithm, torch.arange(NUMBER))
        loss = algorithm.classifier_terms(step)["classification"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert step.logged["scores/accuracy"] == 1
    whole = next(iter(algorithm.data.batches()))
    assert torch.equal(algorithm.classify(whole["images"]).argmax(1), whole["labels"])
    if encoder:
        after = algorithm.classifier.encoder.state_dict()
        assert all(torch.equal(value, before[name]) for name, value in after.items())


def test_the_product_takes_images_and_lets_gradients_through():
    algorithm = make()
    classifier = algorithm.products()["classifier"]
    assert set(classifier.state_dict()) == {"head.linear.weight", "head.linear.bias"}
    assert list(classifier.classes) == ["top", "middle", "bottom"]
    images = torch.zeros(2, 1, 3, 3, requires_grad=True)
    classifier(images)[:, 0].sum().backward()
    assert images.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in algorithm.classifier.encoder.parameters())


def test_attributes_cost_binary_cross_entropy():
    algorithm = make(condition=lambda data: OneHot(data, (Segment("binary", 3),)))
    step = step_of(algorithm, torch.arange(9))
    features, targets = algorithm.examples(step.batch)
    expected = nn.functional.binary_cross_entropy_with_logits(algorithm.classifier.head(features), targets)
    torch.testing.assert_close(algorithm.classifier_terms(step)["classification"], expected)


def test_needs_what_its_condition_needs():
    assert make().needs == {"images", "labels"}
    with pytest.raises(ValueError, match="a classifier needs a condition"):
        make(condition=lambda data: OneHot(data, ()))
