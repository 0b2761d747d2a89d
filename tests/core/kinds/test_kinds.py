"""The table of kinds."""

from __future__ import annotations

import pytest

import ganvas
from ganvas.kinds import KINDS, placed


def test_where_a_component_stands_in_the_quickstart() -> None:
    assert placed("loss", "hinge") == {"stages.gan.loss": "hinge"}
    r1 = {"use": "r1", "weight": 1.0}
    assert placed("regularizer", r1) == {"stages.gan.regularizers": [r1]}
    assert placed("extractor", "inception") == {
        "stages.gan.evaluate.metrics": [{"use": "fid", "extractor": "inception"}],
    }
    assert placed("condition", "labels") == {
        "stages.attributes.condition": "labels",
        "stages.gan.condition": "labels",
    }
    assert placed("sampler", "truncation") == {}
    assert placed("loss", "hinge", {"a": {"b": [..., 1]}}) == {"a": {"b": ["hinge", 1]}}


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_component_of_each_kind_is_placed(kind: str) -> None:
    """The overrides are those of ``ganvas.train``: the quickstart with them has no mistakes."""
    names = {
        "dataset": "mnist-5k",
        "algorithm": "classifier",
        "condition": "labels",
        "metric": "diversity",
        "regularizer": "r1",
    }
    name = names.get(kind) or next(
        name for name, told in ganvas.components(kind).items() if not any(o["required"] for o in told["options"])
    )
    report = ganvas.check("quickstart", overrides=placed(kind, name))
    assert report.unchecked == []


def test_the_path_of_a_kind() -> None:
    assert (KINDS["encoder"].path, KINDS["metric"].path) == ("stages.features.encoder", "stages.gan.evaluate.metrics")
    assert KINDS["extractor"].path == "stages.gan.evaluate.metrics"
    assert KINDS["sampler"].path == ""
