import ganvas
import pytest
import torch
from ganvas.testing import conformance

from ganvas_template.template_module import Template, brightness


@pytest.mark.parametrize("check", conformance("condition/template-name"))
def test_conformance(check):
    check()


def test_bins_are_equally_frequent_and_in_order():
    data = ganvas.Data(ganvas.build("dataset", {"use": "digits", "size": 32}))  # resized: hardly two as bright
    condition = Template(data, bins=3)
    condition.prepare(data, torch.Generator().manual_seed(0))
    batch = next(data.batches(len(data)))
    given = condition.of(batch)
    assert given.sum(0).tolist() == pytest.approx([599, 599, 599], abs=3)  # 1,797 images, a few equally bright
    means = brightness(batch["images"])
    dark, middle, bright = (means[given[:, number] == 1] for number in range(3))
    assert dark.max() <= middle.min()
    assert middle.max() <= bright.min()
    assert condition.parse("bin 1").tolist() == condition.parse(1).tolist() == [0, 1, 0]
    with pytest.raises(ValueError, match=r"^there is no bin 3; give its number, 0 to 2$"):
        condition.parse(3)
