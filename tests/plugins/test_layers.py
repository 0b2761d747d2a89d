import pytest
import torch
from torch import nn

from ganvas_plugins.layers import ConditionalBatchNorm, beside, halvings, normalise_spectrally, weight_layers


@pytest.mark.parametrize(
    ("size", "depth"),
    [
        ((8, 8), 1),
        ((16, 16), 2),
        ((28, 28), 2),
        ((32, 32), 3),
        ((64, 64), 4),
        ((48, 64), 3),
        ((96, 128), 4),
        ((256, 256), 6),
    ],
)
def test_the_shorter_side_ends_between_four_and_seven(size, depth):
    assert halvings((3, *size)) == depth
    assert 4 <= min(size) >> depth <= 7


@pytest.mark.parametrize(
    ("size", "nearest"),
    [
        ((30, 30), ["[28, 28]", "[32, 32]"]),
        ((50, 70), ["[48, 64]", "[56, 72]"]),
        ((5, 5), ["[8, 8]"]),
        ((62, 70), ["[56, 64]", "[64, 80]"]),
    ],
)
def test_other_sizes_are_refused_with_sizes_that_fit(size, nearest):
    with pytest.raises(ValueError, match=f"{size[0]}x{size[1]}") as refusal:
        halvings((1, *size))
    for text in nearest:
        assert text in str(refusal.value)
        height, width = map(int, text.strip("[]").split(", "))
        halvings((1, height, width))


def test_a_condition_becomes_constant_maps():
    images, condition = torch.randn(2, 3, 4, 5), torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    together = beside(images, condition)
    assert together.shape == (2, 5, 4, 5)
    assert torch.equal(together[:, :3], images)
    assert torch.equal(together[1, 4], torch.full((4, 5), 4.0))


@pytest.mark.parametrize(("base", "depth"), [(4, 4), (8, 3), (2, 5), (32, 1)])
def test_a_base_may_be_asked_for(base, depth):
    assert halvings((3, 64, 96), base) == depth


def test_a_base_that_halving_does_not_lead_to_is_refused_with_those_it_does():
    with pytest.raises(ValueError) as refusal:
        halvings((3, 48, 32), 6)
    assert str(refusal.value) == (
        "halving images of 48x32 does not lead to a shorter side of 6; set base to 2 or 4 or 8 or 16"
    )
    with pytest.raises(ValueError, match=r"set the dataset's size to \[28, 28\] or \[32, 32\]"):
        halvings((3, 31, 31), 4)


# -- conditional batch norm --------------------------------------------------------------------------------------------


def test_gain_and_shift_start_as_one_and_zero_and_are_those_of_the_class():
    norm, plain = ConditionalBatchNorm(4, 3), nn.BatchNorm2d(4, affine=False)
    maps, classes = torch.randn(6, 4, 5, 5) * 3 + 1, torch.eye(3)[[0, 1, 2, 0, 1, 2]]
    normalised = plain(maps)
    torch.testing.assert_close(norm(maps, classes), normalised)
    gains, shifts = torch.randn(2, 3, 4)
    with torch.no_grad():
        norm.linear["gain"].weight.copy_((gains - 1).T)
        norm.linear["shift"].weight.copy_(shifts.T)
    made = norm(maps, classes)
    for sample, index in enumerate([0, 1, 2, 0, 1, 2]):
        expected = gains[index][:, None, None] * normalised[sample] + shifts[index][:, None, None]
        torch.testing.assert_close(made[sample], expected)


def test_without_a_condition_it_is_batch_norm():
    norm, plain = ConditionalBatchNorm(4, 0), nn.BatchNorm2d(4)
    maps = torch.randn(6, 4, 5, 5) * 3 + 1
    assert torch.equal(norm(maps), plain(maps))
    assert [tuple(p.shape) for p in norm.parameters()] == [(4,), (4,)]


# -- spectral normalisation --------------------------------------------------------------------------------------------

LAYERS = {
    "dense": lambda: nn.Linear(7, 5),
    "convolution": lambda: nn.Conv2d(3, 6, 3),
    "transposed convolution": lambda: nn.ConvTranspose2d(4, 6, 3),
    "embedding": lambda: nn.Embedding(9, 4),
}


def normalised(make, iterations=1, scale=1.0, seed=0):
    torch.manual_seed(seed)
    layer = make()
    with torch.no_grad():
        layer.weight.mul_(scale)
    normalise_spectrally(layer, iterations)
    return layer


def largest(layer):
    """The largest singular value of the layer's weight as a matrix with one row per output."""
    weight = layer.weight.detach()
    weight = weight.transpose(0, 1) if isinstance(layer, nn.ConvTranspose2d) else weight
    return torch.linalg.matrix_norm(weight.reshape(len(weight), -1), ord=2).item()


@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
def test_the_largest_singular_value_becomes_one(make):
    layer = normalised(make, iterations=200)
    assert largest(layer) == pytest.approx(1, abs=1e-4)
    assert largest(layer.eval()) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
def test_a_multiple_of_a_weight_is_the_same_weight(make):
    torch.testing.assert_close(normalised(make).weight, normalised(make, scale=7.0).weight)


@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
def test_it_is_what_torch_computes(make):
    torch.manual_seed(0)
    theirs = torch.nn.utils.parametrizations.spectral_norm(make(), n_power_iterations=300)
    torch.testing.assert_close(normalised(make, iterations=300).weight, theirs.weight, rtol=1e-4, atol=1e-5)


def test_the_gradient_goes_through_the_singular_value():
    # With u and v constant, d(W / σ) follows from dσ = u vᵀ: the gradient of <G, W/σ> is (G - <G, W/σ> u vᵀ) / σ.
    layer = normalised(LAYERS["dense"], iterations=200)
    weight, given = layer.parametrizations.weight.original, torch.randn(5, 7)
    made = layer.weight
    (gradient,) = torch.autograd.grad((made * given).sum(), weight)
    u, s, v = torch.linalg.svd(weight.detach())
    expected = (given - (given * made).sum() * torch.outer(u[:, 0], v[0])) / s[0]
    torch.testing.assert_close(gradient, expected.detach(), rtol=1e-3, atol=1e-4)


def test_in_training_one_step_of_the_power_method_is_taken_and_in_eval_mode_none():
    layer = normalised(LAYERS["convolution"])
    norm = layer.parametrizations.weight[0]
    matrix = norm.matrix(layer.parametrizations.weight.original.detach())
    with torch.no_grad():
        norm.u.copy_(torch.nn.functional.normalize(torch.randn(6), dim=0))
    u = norm.u.clone()
    v = matrix.T @ u / (matrix.T @ u).norm()
    u = matrix @ v / (matrix @ v).norm()
    layer(torch.randn(1, 3, 4, 4))
    torch.testing.assert_close(norm.u, u)
    torch.testing.assert_close(norm.v, v)
    kept = norm.u.clone()
    layer.eval()(torch.randn(1, 3, 4, 4))
    assert torch.equal(norm.u, kept)


def test_two_forward_passes_before_one_backward_pass():
    layer = normalised(LAYERS["dense"])
    (layer(torch.randn(2, 7)).sum() - layer(torch.randn(2, 7)).sum()).backward()
    assert layer.parametrizations.weight.original.grad.isfinite().all()


def test_under_autocast_it_is_computed_in_float32():
    plain, short = normalised(LAYERS["dense"]), normalised(LAYERS["dense"])
    with torch.autocast("cpu", torch.bfloat16):
        made = short.weight
    assert torch.equal(made, plain.weight)


def test_the_matrix_does_not_depend_on_the_memory_layout():
    plain, other = normalised(LAYERS["convolution"]), normalised(LAYERS["convolution"])
    other.to(memory_format=torch.channels_last)
    images = torch.randn(2, 3, 5, 5)
    torch.testing.assert_close(plain(images), other(images))
    weight = other.parametrizations.weight.original
    matrix = other.parametrizations.weight[0].matrix(weight)
    assert matrix.data_ptr() == weight.data_ptr()  # no copy where the network asks for channels-last


def test_only_trained_layers_are_normalised_once_and_no_conditional_norm():
    network = nn.ModuleDict(
        {"dense": nn.Linear(3, 3), "norm": ConditionalBatchNorm(3, 2), "frozen": nn.Linear(3, 3).requires_grad_(False)}
    )
    network["direction"] = nn.Module()
    network["direction"].weight = nn.Parameter(torch.ones(3))
    assert weight_layers(network) == [network["dense"]]
    for _ in range(2):
        normalise_spectrally(network)
    assert [name for name in network.state_dict() if name.endswith(".u")] == ["dense.parametrizations.weight.0.u"]


def test_a_weight_of_zeros_stays_and_is_normalised_once_it_has_moved():
    layer = nn.Linear(4, 3)
    nn.init.zeros_(layer.weight)
    normalise_spectrally(layer)
    made = layer(torch.ones(2, 4))
    assert torch.equal(made, layer.bias.expand(2, 3))
    made.sum().backward()
    moved = layer.parametrizations.weight.original
    assert moved.grad.isfinite().all()
    assert moved.grad.any()
    nn.init.normal_(moved, std=0.01)
    for _ in range(100):
        layer(torch.ones(2, 4))
    torch.testing.assert_close(torch.linalg.svdvals(layer.weight)[0], torch.tensor(1.0))
