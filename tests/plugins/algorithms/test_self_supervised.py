"""Training an encoder on views."""

import math

import pytest
import torch
from torch import nn

from ganvas import Augmentation, Backbone, Data, DataField, Dataset, Encoder, Scheduled, Step
from ganvas.engine.evaluation import TrainedStage
from ganvas_plugins.algorithms.self_supervised import SelfSupervised, effective_rank
from ganvas_plugins.encoders.simclr import Simclr
from ganvas_plugins.encoders.untrained import Untrained


class Noise(Dataset):
    fields = {"images": DataField((1, 4, 4))}
    fingerprint = "noise"

    def __len__(self):
        return 32

    def __getitem__(self, index):
        return {"images": self.tensors()["images"][index]}

    def tensors(self):
        return {"images": torch.randint(256, (32, 1, 4, 4), generator=torch.Generator().manual_seed(0)).byte()}


class Shift(Augmentation):
    """Adds a number of its own and one drawn."""

    def __init__(self, by=0.0):
        super().__init__()
        self.by = by

    def forward(self, images, side, rng):
        assert side == "view"
        return images + self.by + 0.1 * torch.rand(len(images), 1, 1, 1, generator=rng)


class Flat(Backbone):
    features = 8

    def __init__(self, shape):
        super().__init__()
        self.linear = nn.Linear(math.prod(shape), 8)

    def forward(self, images):
        return self.linear(images.flatten(1))


class Moving(Encoder):
    """One view and a target that moves with the progress."""

    views = ("shift",)

    def __init__(self, backbone, scheduled=False):
        super().__init__()
        self.scheduled = scheduled
        self.backbone, self.features, self.seen = backbone, backbone.features, []

    def objective(self, *views):
        (view,) = views
        return {"square": self.backbone(view).square().mean()}

    def encode(self, images):
        return self.backbone(images)

    def after_update(self, progress):
        self.seen.append(Scheduled(1.0, 0.0).at(progress) if self.scheduled else float(progress))


class Told(Moving):
    """Learns a field of the batch."""

    needs = frozenset({"labels"})

    def objective(self, *views, **fields):
        (view,) = views
        return {"square": (self.backbone(view).mean(1) - fields["labels"]).square().mean()}


def make(encoder=Simclr, augmentation=Shift, dataset=None, portrait=0, **options):
    def build(backbone, data):
        return encoder(backbone, **options)

    data = Data(dataset or Noise())
    return SelfSupervised(data, encoder=build, backbone=Flat, augmentation=augmentation, portrait=portrait)


def step_of(algorithm, steps=10, index=3, logging=False):
    notes = []
    step = Step(
        index=index,
        size=32,
        steps=steps,
        device=torch.device("cpu"),
        rng=torch.Generator().manual_seed(5),
        draw=lambda source, size: {},
        note_length=lambda: notes.append("length"),
        logging=logging,
    )
    step.batch = next(iter(algorithm.data.batches()))
    return step, notes


def test_the_objective_sees_each_augmentations_view():
    algorithm = make(augmentation=[lambda: Shift(1.0), lambda: Shift(-1.0)])
    step, _ = step_of(algorithm)
    rng = torch.Generator().manual_seed(5)
    first, second = (Shift(by)(step.batch["images"], "view", rng) for by in (1.0, -1.0))
    terms = algorithm.encoder_terms(step)
    torch.testing.assert_close(terms["nt-xent"], algorithm.encoder.objective(first, second)["nt-xent"])


def test_one_augmentation_serves_all_views_with_draws_of_their_own():
    for augmentation in (Shift, [Shift]):
        algorithm = make(augmentation=augmentation)
        images = torch.zeros(3, 1, 4, 4)
        first, second = algorithm.views(images, torch.Generator().manual_seed(0))
        assert not torch.equal(first, second)


def test_the_number_of_augmentations_must_fit():
    with pytest.raises(ValueError, match="Simclr compares 2 views, but 3 augmentations are given"):
        make(augmentation=[Shift, Shift, Shift])
    with pytest.raises(ValueError, match="no augmentation makes the views"):
        make(augmentation=None)


def test_the_encoders_views_are_the_default():
    assert SelfSupervised.defaults({"encoder": Simclr}) == {"augmentation": ["simclr-views", "simclr-views"]}
    assert SelfSupervised.defaults({"encoder": Moving}) == {"augmentation": ["shift"]}


def test_only_a_method_that_asks_for_it_depends_on_the_length():
    (update,) = make().updates()
    assert update.after is None
    for scheduled, seen in ((False, 0.3), (True, 0.7)):
        algorithm = make(Moving, scheduled=scheduled)
        (update,) = algorithm.updates()
        step, notes = step_of(algorithm)
        update.objective(step)
        assert notes == []
        update.after(step)
        assert algorithm.encoder.seen == [pytest.approx(seen)]
        assert notes == ["length"]


def test_an_encoder_is_given_the_fields_that_it_needs():
    algorithm = make(Told)
    assert algorithm.needs == {"images", "labels"}
    assert make().needs == {"images"}
    step, _ = step_of(algorithm)
    with pytest.raises(KeyError):
        algorithm.encoder_terms(step)
    step.batch["labels"] = torch.arange(32.0)
    view = Shift()(step.batch["images"], "view", torch.Generator().manual_seed(5))
    expected = algorithm.encoder.objective(view, labels=step.batch["labels"])
    torch.testing.assert_close(algorithm.encoder_terms(step), expected)


@pytest.mark.parametrize("augmentation", [Shift, [Shift], [], None])
def test_an_encoder_without_views_looks_at_nothing(augmentation):
    algorithm = make(Untrained, augmentation)
    step, _ = step_of(algorithm, logging=True)
    assert algorithm.views(step.batch["images"], step.rng) == []
    assert algorithm.encoder_terms(step) == {}
    assert step.logged == {}
    assert algorithm.previews(step.batch, step.rng) == {}
    assert SelfSupervised.defaults({"encoder": Untrained}) == {"augmentation": []}


def test_the_deviation_tells_spread_from_collapse():
    algorithm = make()
    spread = torch.randn(4000, 8, generator=torch.Generator().manual_seed(0))
    for embeddings, expected in ((spread, 1.0), (torch.ones(16, 8), 0.0), (torch.ones(1, 8), 0.0)):
        algorithm.encoder.objective = lambda *views: {}
        algorithm.encoder.embeddings = embeddings
        step, _ = step_of(algorithm)
        algorithm.encoder_terms(step)
        assert step.logged["scores/embedding-deviation"].item() == pytest.approx(expected, abs=0.03)


def test_the_effective_rank_tells_how_many_directions_are_used():
    assert effective_rank(torch.eye(7)[[0, 1, 2, 0, 1, 2]]).item() == pytest.approx(3)
    assert effective_rank(torch.ones(5, 4)).item() == pytest.approx(1)
    assert effective_rank(torch.zeros(5, 4)).item() == pytest.approx(1)
    shares = torch.tensor([0.5, 0.25, 0.25])
    expected = 2 ** (0.5 * 1 + 0.5 * 2)  # the entropy in bits
    assert effective_rank(torch.diag(shares * 9)).item() == pytest.approx(expected, rel=1e-5)
    assert effective_rank(torch.full((3, 2), float("nan"))).item() == pytest.approx(1)


def test_the_effective_rank_is_computed_where_it_is_read():
    algorithm = make()
    algorithm.encoder.objective = lambda *views: {}
    algorithm.encoder.embeddings = torch.eye(4)[[0, 1, 0, 1]] * torch.tensor([1.0, 100, 1, 1]).view(4, 1)
    for logging in (False, True):
        step, _ = step_of(algorithm, logging=logging)
        algorithm.encoder_terms(step)
        assert ("scores/effective-rank" in step.logged) == logging
    assert step.logged["scores/effective-rank"].item() == pytest.approx(2)  # of the directions, whatever their lengths


def test_training_brings_the_views_of_an_image_together():
    torch.manual_seed(0)
    algorithm = make()
    optimizer = torch.optim.Adam(algorithm.encoder.parameters(), lr=1e-2)
    losses = []
    for index in range(40):
        step, _ = step_of(algorithm, index=index)
        loss = algorithm.encoder_terms(step)["nt-xent"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.3
    assert losses[0] <= math.log(63) + 0.5


class Labelled(Noise):
    fields = {**Noise.fields, "labels": DataField((), "int64", (0, 2))}
    classes = ("round", "square", "long")

    def tensors(self):
        return super().tensors() | {"labels": torch.arange(32) % 3}

    def __getitem__(self, index):
        return {name: values[index] for name, values in self.tensors().items()}


@pytest.mark.parametrize("labelled", [True, False])
def test_its_portrait_is_of_some_images_and_their_classes(labelled):
    data = Data(Labelled() if labelled else Noise())
    algorithm = make(dataset=data.dataset, portrait=8)
    stage = TrainedStage("features", algorithm, data, torch.device("cpu"), seed=0)
    preview = algorithm.portrait(stage)["embedding"]
    assert preview.images.shape == (1, 3, 640, 640)
    assert preview.images.min() >= -1
    assert preview.images.max() == 1
    images = torch.cat([batch["images"] for batch in data.batches()])[::4]
    assert torch.equal(preview.embedding.images, images)
    with torch.no_grad():
        torch.testing.assert_close(preview.embedding.features, algorithm.encode(images))
    names = [Labelled.classes[index % 3] for index in range(0, 32, 4)]
    assert preview.embedding.labels == (names if labelled else None)


def test_no_portrait_where_none_is_asked_for():
    algorithm = make()
    assert algorithm.portrait(TrainedStage("f", algorithm, algorithm.data, torch.device("cpu"), seed=0)) == {}


def test_products_and_previews():
    algorithm = make()
    assert set(algorithm.networks()) == {"encoder"}
    assert isinstance(algorithm.products()["encoder"], Encoder)
    images = torch.zeros(5, 1, 4, 4)
    assert torch.equal(algorithm.encode(images), algorithm.encoder.backbone(images))
    preview = algorithm.previews({"images": torch.zeros(12, 1, 4, 4)}, torch.Generator().manual_seed(0))["views"]
    assert preview.images.shape == (16, 1, 4, 4)
    assert preview.columns == 8
