"""FID's Inception network against clean-fid's code under the same random weights."""

import cleanfid.inception_pytorch as reference
import numpy as np
import pytest
import torch
from cleanfid.resize import build_resizer

from ganvas import MissingData
from ganvas_plugins.extractors.inception import DIGEST, FILE, Inception, fid_inception, resize


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("GANVAS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    return tmp_path


@pytest.fixture(scope="module")
def state():
    """Random weights under which activations stay of a size that shows differences."""
    torch.manual_seed(0)
    state = fid_inception().state_dict()
    for name, value in state.items():
        if name.endswith("conv.weight"):
            torch.nn.init.kaiming_normal_(value, nonlinearity="relu")
        elif name.endswith("running_var"):
            value.uniform_(0.5, 1.5)
        elif name.endswith(("running_mean", "bn.bias")):
            value.normal_(0, 0.1)
    return state


def levels(*shape):
    return torch.randint(256, shape, generator=torch.Generator().manual_seed(1)).float()


def smooth(number, side):
    """Colour gradients with edges: closer to photographs than noise."""
    axis = torch.linspace(0, 6, side)
    waves = torch.stack([torch.sin(axis * (k + 1))[:, None] * torch.cos(axis * (3 - k))[None] for k in range(3)])
    picture = (waves * 100 + 128 + 60 * torch.sign(waves)).clamp(0, 255).round()
    return torch.stack([picture.roll(5 * index, 2) for index in range(number)])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning:torchvision")
def test_features_are_those_of_clean_fid(state, tmp_path, monkeypatch):
    monkeypatch.setattr(reference, "load_state_dict_from_url", lambda *given, **named: state)
    network = reference.InceptionV3(resize_input=False, normalize_input=False).eval()
    torch.save(state, tmp_path / "weights.pth")
    images = smooth(2, 32)
    extractor = Inception(weights=tmp_path / "weights.pth")
    resizer = build_resizer("clean")
    resized = np.stack([resizer(image.permute(1, 2, 0).numpy().astype(np.uint8)) for image in images])
    with torch.no_grad():
        expected = network((torch.from_numpy(resized).permute(0, 3, 1, 2) - 128) / 128)[0].flatten(1)
        actual = extractor(images / 127.5 - 1)
    assert actual.shape == (2, extractor.features)
    torch.testing.assert_close(extractor.logits(actual), actual @ state["fc.weight"].T)  # as for the Inception score
    assert (actual - expected).norm() / expected.norm() < 4e-4
    assert (expected[0] - expected[1]).norm() / expected.norm() > 1e-2  # the network is not blind


@pytest.mark.parametrize("shape", [(2, 3, 32, 32), (1, 3, 48, 20), (1, 3, 350, 400)])
@pytest.mark.parametrize("mode", ["clean", "legacy_pytorch"])
def test_resizes_as_clean_fid(mode, shape):
    images = levels(*shape)
    resizer = build_resizer(mode)
    expected = np.stack([resizer(image.permute(1, 2, 0).numpy().astype(np.uint8)) for image in images])
    expected = torch.from_numpy(expected).permute(0, 3, 1, 2).float()
    assert (resize(images, mode) - expected).abs().max() < 0.05  # grey levels


def test_tensorflows_grid_starts_at_the_first_pixel():
    ramp = torch.arange(32.0).view(1, 1, 1, 32).expand(1, 1, 32, 32)
    expected = (torch.arange(299) * 32 / 299).clamp(max=31)
    resized = resize(ramp, "legacy_tensorflow")
    torch.testing.assert_close(resized[0, 0, 0], expected, atol=1e-4, rtol=0)
    torch.testing.assert_close(resize(ramp.transpose(2, 3), "legacy_tensorflow"), resized.transpose(2, 3))
    images = levels(1, 3, 299, 299)
    assert torch.equal(resize(images, "legacy_tensorflow"), images)


def test_weights_that_are_not_there_name_the_address_and_the_place(folder):
    with torch.device("meta"), pytest.raises(MissingData) as error:
        Inception()
    assert f"fetch https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/{FILE}" in str(error.value)
    assert str(folder / "cache" / FILE) in str(error.value)
    assert "\n" not in str(error.value)
    with pytest.raises(MissingData, match="no Inception weights at"):
        Inception(weights=folder / "nothing.pth")


def test_a_damaged_file_is_told_by_its_digest(folder):
    path = folder / "hub" / "checkpoints" / FILE
    path.parent.mkdir(parents=True)
    path.write_bytes(b"half a file")
    with pytest.raises(MissingData, match="is damaged"):
        Inception()
    assert DIGEST in FILE


def test_named_weights_are_in_the_protocol(folder):
    (folder / "a.pth").write_bytes(b"a")
    (folder / "b.pth").write_bytes(b"b")
    with torch.device("meta"):
        first, second = (Inception(weights=folder / name) for name in ("a.pth", "b.pth"))
        legacy = Inception(weights=folder / "a.pth", mode="legacy_tensorflow")
    assert first.protocol != second.protocol
    assert first.name == "inception"
    assert legacy.name == "inception-legacy-tensorflow"
    assert not first.train().training
