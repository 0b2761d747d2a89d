"""Rotation prediction: the rotations, their labels, and shapes that cannot be rotated."""

import math

import pytest
import torch
import torch.nn.functional as F

from ganvas_plugins.encoders.rotation import Rotation, four_rotations


def test_four_quarters_are_a_whole_turn():
    image = torch.arange(9.0).view(1, 1, 3, 3)
    turned = four_rotations(image)
    assert torch.equal(turned[0, 0], torch.tensor([[0.0, 1, 2], [3, 4, 5], [6, 7, 8]]))
    assert torch.equal(turned[1, 0], torch.tensor([[2.0, 5, 8], [1, 4, 7], [0, 3, 6]]))
    assert torch.equal(turned[2], turned[1].rot90(1, (1, 2)))
    assert torch.equal(turned[3].rot90(1, (1, 2)), image[0])


def test_every_image_is_seen_in_all_rotations_with_its_label(flat, data):
    torch.manual_seed(0)
    encoder = Rotation(flat(), data())
    view = torch.randn(5, 3, 2, 2)
    total = 0.0
    for rotation in range(4):
        logits = encoder.head(encoder.backbone(view.rot90(rotation, (2, 3))))
        total += F.cross_entropy(logits, torch.full((5,), rotation))
    terms = encoder.objective(view)
    torch.testing.assert_close(terms, {"rotation": total / 4})
    torch.testing.assert_close(encoder.embeddings, encoder.encode(four_rotations(view)))
    terms["rotation"].backward()
    assert all(parameter.grad is not None for parameter in encoder.parameters())


def test_one_image_and_a_head_that_knows_nothing(flat, data):
    encoder = Rotation(flat(), data())
    torch.nn.init.zeros_(encoder.head.weight)
    torch.nn.init.zeros_(encoder.head.bias)
    assert encoder.objective(torch.randn(1, 3, 2, 2))["rotation"].item() == pytest.approx(math.log(4))


def test_images_that_are_not_square(flat, data):
    with pytest.raises(ValueError) as raised:
        Rotation(flat(), data((3, 12, 16)))
    assert str(raised.value) == (
        "images of 12x16 cannot be rotated by 90 degrees; set the dataset's size to one number, such as 12"
    )
