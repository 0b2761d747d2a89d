import pytest
import torch

from ganvas.registry.documents import Mistakes
from ganvas.runs.api import read
from ganvas.runs.checking import check_experiment
from ganvas_plugins.heads.linear import LinearHead
from ganvas_plugins.heads.projection import ProjectionHead


def embedded(head, condition):
    return condition @ head.embedding.weight.T


@pytest.mark.parametrize("places", [(), (3, 4), (6,)])
def test_two_conditions_differ_by_the_projection_of_their_embeddings(places):
    """s(f, y1) - s(f, y2) = <e(y1) - e(y2), f>, at every place."""
    head = ProjectionHead(5, (4,))
    features, one, other = torch.randn(6, 5, *places), torch.randn(6, 4), torch.randn(6, 4)
    difference = head(features, one).scores - head(features, other).scores
    assert difference.shape == (6, *places)
    expected = torch.einsum("nf,nf...->n...", embedded(head, one) - embedded(head, other), features)
    torch.testing.assert_close(difference, expected)


def test_without_an_embedding_it_is_the_linear_head():
    head, linear = ProjectionHead(5, (4,)), LinearHead(5, None)
    linear.score.load_state_dict(head.score.state_dict())
    torch.nn.init.zeros_(head.embedding.weight)
    maps = torch.randn(3, 5, 2, 2)
    torch.testing.assert_close(head(maps, torch.eye(4)[:3]).scores, linear(maps).scores)


def test_permuting_conditions_changes_the_scores_and_permuting_both_permutes_them():
    head = ProjectionHead(5, (4,))
    features, condition, order = torch.randn(4, 5), torch.eye(4), torch.tensor([2, 0, 3, 1])
    scores = head(features, condition).scores
    assert ((head(features, condition[order]).scores - scores).abs() > 1e-4).all()
    torch.testing.assert_close(head(features[order], condition[order]).scores, scores[order])


def test_attributes_add_up_and_continuous_conditions_scale():
    head = ProjectionHead(5, (4,))
    features, eye = torch.randn(1, 5), torch.eye(4)
    plain = head(features, torch.zeros(1, 4)).scores
    both = head(features, eye[:1] + eye[1:2]).scores - plain
    each = [head(features, eye[index : index + 1]).scores - plain for index in (0, 1)]
    torch.testing.assert_close(both, each[0] + each[1])
    torch.testing.assert_close(head(features, 2.5 * eye[:1]).scores - plain, 2.5 * each[0])


def test_a_condition_may_have_several_dimensions():
    head = ProjectionHead(5, (2, 3))
    assert head.embedding.weight.shape == (5, 6)
    features, condition = torch.randn(3, 5), torch.randn(3, 2, 3)
    expected = head.score(features).squeeze(1) + (embedded(head, condition.flatten(1)) * features).sum(1)
    torch.testing.assert_close(head(features, condition).scores, expected)


def test_a_stage_without_a_condition_is_refused_by_check(tmp_path):
    spec = tmp_path / "spec.yaml"
    spec.write_text(
        "dataset: digits\n"
        "stages:\n"
        "  gan:\n"
        "    use: gan\n"
        "    generator: {use: dcgan, channels: 4}\n"
        "    discriminator: {use: dcgan, channels: 4, head: projection}\n"
        "    steps: 2\n"
    )
    with pytest.raises(Mistakes) as refused:
        check_experiment(read(spec))
    assert str(refused.value) == (
        f"{spec}:6:52: stages.gan.discriminator.head: the head needs the condition of each sample, and the "
        "discriminator is given none; give the stage a condition (labels, say) or use head: linear"
    )
