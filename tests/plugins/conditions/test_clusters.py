import pytest
import torch
from sklearn.metrics import adjusted_rand_score

from ganvas import Data, DataField, Encoder, Segment, Trained
from ganvas.kinds.data import Dataset
from ganvas_plugins.conditions.clusters import Clusters

SIZES = (60, 30, 10)  # of the blobs


class Blobs(Dataset):
    """Images of 1x1x2 pixels around three points."""

    fields = {"images": DataField((1, 1, 2))}
    fingerprint = "blobs"

    def __init__(self, in_memory=True):
        rng = torch.Generator().manual_seed(1)
        self.blob = torch.repeat_interleave(torch.arange(3), torch.tensor(SIZES))[torch.randperm(100, generator=rng)]
        centres = torch.tensor([[40, 40], [40, 220], [220, 130]])
        noise = torch.randint(-15, 16, (100, 2), generator=rng)
        self.images = (centres[self.blob] + noise).to(torch.uint8).reshape(100, 1, 1, 2)
        self.in_memory = in_memory

    def __len__(self):
        return 100

    def __getitem__(self, index):
        return {"images": self.images[index]}

    def tensors(self):
        return {"images": self.images} if self.in_memory else None


class Pixels(Encoder):
    """The pixels are the features; counts the images it sees."""

    features = 2

    def __init__(self):
        super().__init__()
        self.seen = 0

    def objective(self, *views):
        return {}

    def encode(self, images):
        self.seen += len(images)
        return images.flatten(1)


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def fitted(dataset=None, encoder=None, **options):
    data = Data(dataset or Blobs())
    condition = Clusters(data, encoder=Trained(encoder or Pixels()), **{"clusters": 3, **options})
    condition.prepare(data, rng())
    return data, condition


def whole(data):
    return next(data.batches(100))


@pytest.mark.parametrize("options", [{}, {"normalise": True}, {"samples": 50}, {"restarts": 3}])
@pytest.mark.parametrize("in_memory", [True, False])
def test_separate_blobs_are_found(options, in_memory):
    data, condition = fitted(Blobs(in_memory), **options)
    given = condition.eval().of(whole(data))
    assert given.shape == (100, 3)
    assert (given.sum(1) == 1).all()
    assert adjusted_rand_score(data.dataset.blob, given.argmax(1)) == 1


def test_clusters_are_numbered_by_size_and_centroids_are_their_means():
    data, condition = fitted()
    images = whole(data)["images"].flatten(1)
    for number in range(3):
        mean = images[data.dataset.blob == number].mean(0)
        assert torch.allclose(condition.centroids[number], mean, atol=1e-5)
    assert condition.frequencies.tolist() == pytest.approx([0.6, 0.3, 0.1])
    assert torch.equal(condition.eval().of(whole(data)).argmax(1), data.dataset.blob)


def test_fitting_again_gives_the_same_bits():
    first, second = fitted()[1], fitted()[1]
    assert torch.equal(first.centroids, second.centroids)


def test_state_is_restored():
    data, condition = fitted()
    other = Clusters(data, encoder=Trained(Pixels()), clusters=3)
    assert set(condition.state_dict()) == {"centroids", "frequencies"}
    other.load_state_dict(condition.state_dict())
    assert torch.equal(other.of(whole(data)), condition.of(whole(data)))
    assert list(condition.parameters()) == []


def test_while_training_each_image_is_encoded_once():
    encoder = Pixels()
    data, condition = fitted(encoder=encoder)
    batch = {name: values[20:50] for name, values in whole(data).items()}
    encoder.seen = 0
    first = condition.train().of(batch)
    assert encoder.seen == 100
    assert torch.equal(condition.of(batch), first)
    assert encoder.seen == 100
    assert torch.equal(first.argmax(1), data.dataset.blob[20:50])
    held_out = {"images": batch["images"].flip(0), "index": batch["index"]}
    assert torch.equal(condition.eval().of(held_out), first.flip(0))
    assert torch.equal(condition.train().of({"images": batch["images"]}), first)


def test_clusters_are_sampled_equally_often_or_as_the_data_have_them():
    _, balanced = fitted()
    assert balanced.sample(9000, rng()).mean(0).tolist() == pytest.approx([1 / 3] * 3, abs=0.02)
    _, frequent = fitted(balanced=False)
    drawn = frequent.sample(9000, rng())
    assert (drawn.sum(1) == 1).all()
    assert drawn.mean(0).tolist() == pytest.approx([0.6, 0.3, 0.1], abs=0.02)
    assert torch.equal(drawn, frequent.sample(9000, rng()))


def test_names_segments_and_parse():
    _, condition = fitted()
    assert condition.needs == {"images"}
    assert condition.shape == (3,)
    assert condition.segments == [Segment("one-hot", 3)]
    assert condition.parse(2).tolist() == condition.parse("cluster 2").tolist() == [0, 0, 1]
    with pytest.raises(ValueError, match="there is no cluster 3"):
        condition.parse(3)


def test_features_are_in_full_precision_under_autocast():
    data, condition = fitted()
    condition.eval()
    plain = condition.features(whole(data)["images"])
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(condition.features(whole(data)["images"]), plain)


def test_too_few_samples_are_refused_with_a_remedy():
    with pytest.raises(ValueError, match="raise samples or leave it out"):
        Clusters(Data(Blobs()), encoder=Trained(Pixels()), clusters=3, samples=2)
    with pytest.raises(ValueError, match="100 samples cannot make 101 clusters"):
        fitted(clusters=101)


def test_it_can_be_built_on_the_meta_device():
    data = Data(Blobs())
    with torch.device("meta"):
        centroids = Clusters(data, encoder=Trained(Pixels())).centroids
    assert centroids.is_meta
    assert centroids.shape == (10, 2)
