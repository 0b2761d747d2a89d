import pytest
import torch

from ganvas_plugins.heads.multi_class import MultiClassHead


def test_the_score_is_how_far_the_class_leads_fake():
    head = MultiClassHead(5, (3,))
    features, condition = torch.randn(4, 5), torch.eye(3)[[2, 0, 2, 1]]
    critique = head(features, condition)
    assert critique.classes.shape == (4, 4)
    torch.testing.assert_close(critique.classes, features @ head.logits.weight.T + head.logits.bias)
    own = critique.classes[torch.arange(4), torch.tensor([2, 0, 2, 1])]
    torch.testing.assert_close(critique.scores, own - critique.classes[:, 3])


def test_a_map_is_classified_place_by_place():
    head = MultiClassHead(5, (3,))
    maps, condition = torch.randn(2, 5, 3, 4), torch.eye(3)[:2]
    critique = head(maps, condition)
    assert critique.classes.shape == (2, 4, 3, 4)
    assert critique.scores.shape == (2, 3, 4)
    alone = head(maps[:, :, 1, 2], condition)
    torch.testing.assert_close(critique.classes[:, :, 1, 2], alone.classes)
    torch.testing.assert_close(critique.scores[:, 1, 2], alone.scores)


def test_it_needs_classes():
    with pytest.raises(ValueError) as caught:
        MultiClassHead(5, None)
    assert str(caught.value) == "multi-class needs a condition, and this stage has none; give it one (labels, say)"
