import pytest
import torch

from ganvas_plugins.discriminators.resnet import ResnetDiscriminator
from ganvas_plugins.heads.linear import LinearHead

# Parameters of torch-mimicry 0.1.16's discriminators; DCGAN and WGAN-GP for 32x32 have SNGAN's.
MIMICRY = {32: 1_053_825, 48: 10_141_441, 64: 10_141_441, 128: 29_017_857}
NAMES = {"c1": "first", "c2": "second", "c_sc": "shortcut"}


def head(features, condition):
    return LinearHead(features, condition)


@pytest.mark.parametrize("spectral_norm", [True, False])
@pytest.mark.parametrize(("size", "parameters"), MIMICRY.items())
def test_the_defaults_have_as_many_parameters_as_the_papers_networks(size, parameters, spectral_norm):
    with torch.device("meta"):
        network = ResnetDiscriminator((3, size, size), None, head=head, spectral_norm=spectral_norm)
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters


@pytest.mark.parametrize(
    ("size", "maps"),
    [
        (32, [(128, 16), (128, 8), (128, 8), (128, 8)]),
        (48, [(64, 24), (128, 12), (256, 6), (512, 3), (1024, 3)]),
        (64, [(64, 32), (128, 16), (256, 8), (512, 4), (1024, 2)]),
        (128, [(64, 64), (128, 32), (256, 16), (512, 8), (1024, 4), (1024, 4)]),
    ],
)
def test_the_maps_are_those_of_the_papers_tables(size, maps):
    with torch.device("meta"):
        network = ResnetDiscriminator((3, size, size), None, head=head, spectral_norm=False)
        critique = network(torch.empty(2, 3, size, size))
    assert [tuple(value.shape[1:3]) for name, value in critique.layers.items() if name != "features"] == maps
    assert critique.features.shape == (2, maps[-1][0])
    assert critique.scores.shape == (2,)
    assert network.layers == (*(f"level{level}" for level in range(len(maps))), "features")


def test_a_block_is_as_wide_inside_as_what_it_is_given():
    with torch.device("meta"):
        network = ResnetDiscriminator((3, 48, 48), None, head=head)
    hidden = [block.first.out_channels for name, block in network.blocks.items() if name != "features"]
    assert hidden == [64, 64, 128, 256, 512]


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (2, 32, 48), (3, 40, 40)])
def test_sizes_and_that_a_score_is_one_samples_own(shape):
    network = ResnetDiscriminator(shape, None, channels=4, max_channels=8, head=head).eval()
    images = torch.randn(3, *shape)
    critique = network(images)
    assert critique.features.shape[0] == 3
    torch.testing.assert_close(network(images[:1]).scores, critique.scores[:1])


def test_sum_and_mean_pooling_differ_by_the_number_of_places():
    torch.manual_seed(0)
    made = [
        ResnetDiscriminator((1, 16, 16), None, channels=4, pooling=pooling, spectral_norm=False, head=head)
        for pooling in ("sum", "mean")
    ]
    made[1].load_state_dict(made[0].state_dict())
    images = torch.randn(2, 1, 16, 16)
    torch.testing.assert_close(made[0](images).features, 16 * made[1](images).features)  # 4x4 places


def test_base_and_plain_blocks_say_how_deep_it_is():
    network = ResnetDiscriminator((1, 16, 24), None, channels=4, base=8, plain_blocks=0, head=head)
    critique = network(torch.randn(2, 1, 16, 24))
    assert {name: tuple(value.shape) for name, value in critique.layers.items()} == {
        "level0": (2, 4, 8, 12),
        "features": (2, 4),
    }


def test_other_sizes_are_refused():
    with pytest.raises(ValueError, match=r"\[28, 28\] or \[32, 32\]"):
        ResnetDiscriminator((1, 30, 30), None, head=head)
    with pytest.raises(ValueError, match="does not lead to a shorter side of 5; set base to 1 or 2 or 4 or 8 or 16"):
        ResnetDiscriminator((1, 32, 32), None, base=5, head=head)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "sngan.SNGANDiscriminator32",
        "sngan.SNGANDiscriminator48",
        "sngan.SNGANDiscriminator64",
        "wgan_gp.WGANGPDiscriminator32",
        "dcgan.DCGANDiscriminator32",
    ],
)
def test_agrees_with_mimicry(name):
    nets = pytest.importorskip(
        "torch_mimicry.nets", reason="torch-mimicry needs TensorFlow and an older torch", exc_type=ImportError
    )
    package, _, cls = name.partition(".")
    torch.manual_seed(0)
    theirs = getattr(getattr(nets, package), cls)().eval()
    for module in theirs.modules():
        if isinstance(module, torch.nn.ReLU):
            module.inplace = False  # in place it cuts what the shortcut sees too, which no paper does
    size, pooling = int(cls[-2:]), "mean" if package == "wgan_gp" else "sum"
    ours = ResnetDiscriminator(
        (3, size, size), None, pooling=pooling, spectral_norm=package == "sngan", head=head
    ).eval()
    copied = {}
    for key, value in theirs.state_dict().items():
        *block, part, leaf = key.split(".")
        layer = f"blocks.level{int(block[0][5:]) - 1}.{NAMES[part]}" if block else "head.score"
        if leaf == "weight_v" and part.startswith("c"):  # their matrices have the window last, ours the channels
            side = 1 if part == "c_sc" else 3
            value = value.unflatten(0, (-1, side, side)).movedim(0, -1).flatten()
        leaf = {"weight_orig": "original", "weight_u": "0.u", "weight_v": "0.v"}.get(leaf, leaf)
        copied[f"{layer}.{leaf}" if leaf in ("weight", "bias") else f"{layer}.parametrizations.weight.{leaf}"] = value
    ours.load_state_dict(copied)
    images = torch.rand(4, 3, size, size) * 2 - 1
    torch.testing.assert_close(ours(images).scores[:, None], theirs(images), rtol=1e-3, atol=1e-3)
