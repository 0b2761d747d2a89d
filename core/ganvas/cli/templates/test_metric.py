from types import SimpleNamespace

import ganvas
import pytest
import torch
from ganvas.testing import conformance

from ganvas_template.template_module import Template


@pytest.mark.parametrize("check", conformance("metric/template-name"))
def test_conformance(check):
    check()


def test_a_shift_of_all_values_is_the_distance():
    data = ganvas.Data(ganvas.build("dataset", "digits"))
    metric = Template(data)
    real = torch.cat([batch["images"] for batch in data.batches()])
    for shift in (0, 51, -51):
        # inwards from both ends of the grey levels, so that nothing is cut off
        squeezed = ((real + 1) * 76.5).round() / 127.5 - 0.6
        stage = SimpleNamespace(
            data=SimpleNamespace(batches=lambda size, images=squeezed: [{"images": images}]),
            fakes=lambda number, images=squeezed + shift / 127.5: (images, None),
        )
        measured = metric.measure(stage)["template-name"]
        assert measured.value == pytest.approx(abs(shift) / 127.5, abs=1e-6)
        assert measured.better == "lower"
