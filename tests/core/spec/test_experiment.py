from __future__ import annotations

from pathlib import Path

import pytest

from ganvas.registry.documents import Mistakes
from ganvas.runs.folders import to_yaml
from ganvas.runs.keys import key_of, key_parts
from ganvas.spec.experiment import Experiment, load_experiment

QUICKSTART = Path(__file__).parents[3] / "experiments" / "quickstart.yaml"
EVERYTHING = """
name: everything
dataset: {use: digits, size: [8, 8], fit: pad, holdout: 0.1}
stages:
  gan:
    use: gan
    generator: {use: dcgan, latent: 3, channels: 2}
    discriminator: {use: global, channels: 2}
    condition: labels
    augmentation: {use: diffaugment, translation: 0.2}
    regularizers:
      - {use: r1, weight: {from: 1, to: 0, over: {images: 50}}, every: 2}
      - weight-clipping
      - {use: classification, classifier: attributes.classifier}
    discriminator_steps: {value: 1, first: [2, 3], every: [5, 2]}
    loss: ganvas/hinge
    optimizers: {generator: adam, discriminator: {use: rmsprop, lr: {from: 1e-3, to: 1e-4, shape: exponential}}}
    ema: {half_life: {from: 0, to: 100}, networks: [generator]}
    evaluate: {every: 2, metrics: [diversity, {use: fid, extractor: classifier}]}
    start: early
    steps: 2
    seed: 7
  attributes:
    use: classifier
    classifier: {use: mlp, hidden: 4}
    optimizers: {use: sgd, lr: {from: 0.1, to: 0.1, warm_up: 0.5}}
    dataset: {use: digits, flip: true}
    checkpoint: {every: 30s}
    steps: 2
  early: {use: gan, generator: dcgan, discriminator: patch, dataset: {use: digits, size: 24}, ema: 10, steps: 3}
"""
CHAIN = """
dataset: digits
stages:
  last: {use: classifier, start: middle, steps: 1}
  alone: {use: classifier, steps: 1}
  middle: {use: classifier, start: first, steps: 1}
  first: {use: classifier, steps: 1}
  also: {use: classifier, steps: 1}
"""


def loaded(path: Path, text: str, *settings: str) -> Experiment:
    path.write_text(text, encoding="utf-8")
    return load_experiment(path, settings)


def keys(experiment: Experiment) -> dict[str, str]:
    """Each stage's key, on data with the digest ``data``."""
    found: dict[str, str] = {}
    for name, stage in experiment.stages.items():
        found[name] = key_of(key_parts(stage, "data", False, lambda reference: found[reference.stage or ""]))
    return found


def test_stages_stand_in_the_order_of_training(tmp_path: Path) -> None:
    """What is used comes first, everything else as written."""
    experiment = loaded(tmp_path / "spec.yaml", CHAIN)
    assert list(experiment.stages) == ["first", "middle", "last", "alone", "also"]
    assert experiment.with_ancestors(["middle"]) == ["first", "middle"]
    assert list(experiment.plain(["middle"])["stages"]) == ["first", "middle"]


@pytest.mark.parametrize("text", [QUICKSTART.read_text(), EVERYTHING, CHAIN], ids=["quickstart", "everything", "chain"])
def test_the_complete_spec_is_the_same_spec(tmp_path: Path, text: str) -> None:
    """Every default written out, it loads again, to the same tree and the same keys."""
    (tmp_path / "elsewhere").mkdir()
    first = loaded(tmp_path / "spec.yaml", text)
    again = loaded(tmp_path / "elsewhere" / "other.yaml", to_yaml(first.plain()))
    assert again.plain() == first.plain()
    assert to_yaml(again.plain()) == to_yaml(first.plain())
    assert keys(again) == keys(first)
    assert list(again.stages) == list(first.stages)
    assert again.name == first.name


def test_the_complete_spec_has_every_default(tmp_path: Path) -> None:
    text = "dataset: digits\nstages:\n  gan: {use: gan, generator: dcgan, discriminator: global, steps: 2}\n"
    plain = loaded(tmp_path / "spec.yaml", text).plain()
    assert plain["name"] == "spec"
    assert plain["seed"] == 0
    assert plain["dataset"]["fit"] == "crop"
    assert [tracker["use"] for tracker in plain["trackers"]] == ["tensorboard"]
    stage = plain["stages"]["gan"]
    assert stage["loss"] == {"use": "non-saturating", "smoothing": 0.0}
    assert stage["discriminator"]["head"] == {"use": "linear", "kernel": 1}
    assert stage["batch_size"] == 64
    assert stage["checkpoint"] == {"every": "5m", "keep": 2}
    assert stage["optimizers"] == {"use": "adam", "lr": 2e-4, "betas": [0.5, 0.999], "eps": 1e-8, "weight_decay": 0.0}


def test_nothing_is_the_default_where_nothing_may_stand(tmp_path: Path) -> None:
    text = "dataset: digits\nstages:\n  gan: {use: gan, generator: dcgan, discriminator: global, steps: 2}\n"
    before = loaded(tmp_path / "spec.yaml", text).plain()
    nothing = ["optimizers", "ema", "evaluate", "seed", "dataset", "start", "clip_gradients"]
    after = loaded(tmp_path / "spec.yaml", text, "name=", *(f"stages.gan.{name}=" for name in nothing)).plain()
    assert after == before


def test_defaults_of_a_chosen_encoder_are_written_out(tmp_path: Path) -> None:
    text = "dataset: digits\nstages: {features: {use: self-supervised, encoder: simclr, steps: 1}}\n"
    views = loaded(tmp_path / "spec.yaml", text).plain()["stages"]["features"]["augmentation"]
    assert [view["use"] for view in views] == ["simclr-views", "simclr-views"]


def test_the_name_is_the_files_unless_that_is_none(tmp_path: Path) -> None:
    assert loaded(tmp_path / "my-spec.yaml", CHAIN).name == "my-spec"
    assert loaded(tmp_path / "my spec.yaml", CHAIN).name == "experiment"
    assert loaded(tmp_path / "my-spec.yaml", CHAIN, "name=other").name == "other"


def test_seed_and_dataset_of_a_stage_win(tmp_path: Path) -> None:
    experiment = loaded(tmp_path / "spec.yaml", EVERYTHING, "seed=3")
    assert [stage.seed for stage in experiment.stages.values()] == [3, 3, 7]
    assert list(experiment.stages) == ["attributes", "early", "gan"]
    assert experiment.stages["attributes"].dataset.plain()["flip"] is True
    assert experiment.stages["gan"].dataset.plain()["holdout"] == 0.1


def test_references_know_their_stage_and_part(tmp_path: Path) -> None:
    experiment = loaded(tmp_path / "spec.yaml", EVERYTHING)
    found = [(r.path, r.stage, r.part) for r in experiment.stages["gan"].references]
    assert found == [
        ("stages.gan.regularizers[2].classifier", "attributes", "classifier"),
        ("stages.gan.start", "early", None),
    ]
    assert experiment.stages["gan"].uses == ["attributes", "early"]


def test_a_finished_stages_folder_is_a_reference(tmp_path: Path) -> None:
    text = "dataset: digits\nstages:\n  one: {use: classifier, encoder: runs/old, steps: 1}\n"
    (tmp_path / "runs" / "old").mkdir(parents=True)
    with pytest.raises(Mistakes, match=r"there is no finished stage in runs/old \(no model.safetensors\)"):
        loaded(tmp_path / "spec.yaml", text)
    (tmp_path / "runs" / "old" / "model.safetensors").touch()
    (reference,) = loaded(tmp_path / "spec.yaml", text).stages["one"].references
    assert (reference.stage, reference.folder) == (None, (tmp_path / "runs" / "old").resolve())


def test_what_was_chosen_on_the_way_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(CHAIN)
    experiment = load_experiment(path, ["stages.last.steps = 5"], {"seed": 3})
    assert [str(choice) for choice in experiment.chosen] == ["last.steps=5", "seed=3"]


def test_keys_follow_what_trains(tmp_path: Path) -> None:
    """Names, metrics and cadences are in no key; an option of a stage is in its own and in those of its users."""
    before = keys(loaded(tmp_path / "spec.yaml", EVERYTHING))
    for setting in ("name=other", "stages.gan.evaluate=", "stages.gan.log_every=3", "stages.gan.checkpoint.keep=9"):
        assert keys(loaded(tmp_path / "spec.yaml", EVERYTHING, setting)) == before
    after = keys(loaded(tmp_path / "spec.yaml", EVERYTHING, "stages.attributes.classifier.hidden=5"))
    assert {name for name in before if before[name] != after[name]} == {"attributes", "gan"}
    after = keys(loaded(tmp_path / "spec.yaml", EVERYTHING, "stages.gan.loss=wasserstein"))
    assert {name for name in before if before[name] != after[name]} == {"gan"}
