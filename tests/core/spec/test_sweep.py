"""Every combination of a sweep as a spec of its own, and whom its mistakes are laid to."""

from __future__ import annotations

from pathlib import Path

import pytest

from ganvas.registry.documents import Mistakes
from ganvas.spec import sweep
from ganvas.spec.experiment import Experiment, load_experiment

SPEC = """
dataset: digits
stages:
  gan: {use: gan, generator: dcgan, discriminator: global, loss: hinge, steps: 2}
"""


def loaded(path: Path, swept: str, *settings: str) -> Experiment:
    path.write_text(SPEC + swept)
    return load_experiment(path, settings, shown="spec.yaml")


def refused(path: Path, swept: str) -> list[str]:
    with pytest.raises(Mistakes) as caught:
        loaded(path, swept)
    return str(caught.value).splitlines()


def test_lists_are_combined_and_labels_are_alternatives(tmp_path: Path) -> None:
    swept = """
sweep:
  stages.gan.loss: [hinge, {use: wasserstein}]
  small: {stages.gan.generator.channels: 2, stages.gan.batch_size: 8}
  seed: [0, 1]
  plain: {}
"""
    experiment = loaded(tmp_path / "spec.yaml", swept, "stages.gan.steps=3")
    assert [", ".join(map(str, member.chosen)) for member in experiment.members] == [
        f"gan.steps=3, gan.loss={loss}, {label}, seed={seed}"
        for loss in ("hinge", "{use: wasserstein}")
        for label in ("small", "plain")
        for seed in (0, 1)
    ]
    members = [member.stages["gan"] for member in experiment.members]
    assert [stage.seed for stage in members] == [0, 1] * 4
    assert [stage.settings.batch_size for stage in members] == [8, 8, 64, 64] * 2
    assert [stage.algorithm.options["loss"].name for stage in members] == ["hinge"] * 4 + ["wasserstein"] * 4
    assert {stage.settings.steps for stage in members} == {3}
    assert {member.name for member in experiment.members} == {experiment.name}
    # The spec itself is what stands there without the sweep.
    assert experiment.stages["gan"].seed == 0
    assert experiment.stages["gan"].settings.batch_size == 64
    assert "sweep" not in experiment.plain()


def test_nothing_swept_is_no_member(tmp_path: Path) -> None:
    assert loaded(tmp_path / "spec.yaml", "").members == []
    assert loaded(tmp_path / "spec.yaml", "sweep: {}\n").members == []


def test_a_later_value_builds_on_an_earlier_one(tmp_path: Path) -> None:
    """An option that only one of the swept components has is laid to both, once for all other combinations."""
    swept = """
sweep:
  seed: [0, 1]
  stages.gan.loss: [hinge, wasserstein]
  stages.gan.loss.margin: [1, 2]
"""
    assert refused(tmp_path / "spec.yaml", swept) == [
        f"spec.yaml:9:{column}: sweep.stages.gan.loss.margin[{index}]: stages.gan.loss.margin: "
        "the loss 'wasserstein' has no option 'margin'"
        for index, column in ((0, 28), (1, 31))
    ]
    members = loaded(tmp_path / "spec.yaml", swept.replace(", wasserstein", "")).members
    assert [member.stages["gan"].algorithm.options["loss"].options["margin"] for member in members] == [1, 2, 1, 2]


def test_a_mistake_elsewhere_is_laid_to_the_value_that_makes_it(tmp_path: Path) -> None:
    swept = """
sweep:
  seed: [0, 1]
  stages.gan.use: [gan, cyclegan]
"""
    said = refused(tmp_path / "spec.yaml", swept)
    start = "spec.yaml:4:19: sweep.stages.gan.use[1]: stages.gan.generator: "
    assert said[0].startswith(f"{start}the algorithm 'cyclegan' has no option 'generator'; choose from ")
    assert all("sweep.stages.gan.use[1]: " in line for line in said)
    assert len(set(said)) == len(said)


def test_two_members_that_are_the_same(tmp_path: Path) -> None:
    swept = "sweep:\n  stages.gan.loss: [hinge, wasserstein, {use: hinge, margin: 1.0}]\n"
    assert refused(tmp_path / "spec.yaml", swept) == [
        "spec.yaml:6:3: sweep: 0 and 2 (gan.loss={use: hinge, margin: 1.0}) are one and the same spec"
    ]


def test_more_combinations_than_anybody_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "MOST", 5)
    swept = "sweep: {seed: [0, 1, 2], stages.gan.steps: [1, 2]}\n"
    assert refused(tmp_path / "spec.yaml", swept) == [
        "spec.yaml:5:8: sweep: 6 combinations are more than the 5 that are taken"
    ]
