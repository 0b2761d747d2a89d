"""A key changes with all that changes the weights, and with nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ganvas.registry.signature import options_of
from ganvas.runs.api import read
from ganvas.runs.folders import to_yaml
from ganvas.runs.keys import changes, key_of, key_parts, sources
from ganvas.spec.stage import ExperimentSettings, StageSettings

GAN: dict[str, Any] = {
    "use": "gan",
    "generator": {"use": "eigengan", "basis": 3},
    "discriminator": {"use": "global", "channels": 8},
    "condition": "labels",
    "regularizers": [{"use": "r1", "weight": 2}, "orthogonality"],
    "steps": 10,
}
MINE = """
from ganvas import Loss

class Mine(Loss):
    def discriminator(self, real, fake):
        return fake.scores.mean() - real.scores.mean()

    def generator(self, fake, real):
        return -fake.scores.mean()
"""
PENALTY = "from ganvas import Regularizer\nclass Mine(Regularizer):\n    pass\n"
SPEC: dict[str, Any] = {"name": "one", "dataset": {"use": "digits"}, "stages": {"gan": GAN}}


def parts_of(
    tmp_path: Path, *settings: str, spec: dict[str, Any] | str = SPEC, stage: str = "gan", content: str = "content"
) -> dict[str, str]:
    path = tmp_path / "spec.yaml"
    path.write_text(spec if isinstance(spec, str) else json.dumps(spec))
    experiment = read(path, settings)
    deterministic = experiment.settings.options["deterministic"]
    return key_parts(experiment.stages[stage], content, deterministic, lambda reference: f"key-of-{reference.stage}")


def key(tmp_path: Path, *settings: str, **given: Any) -> str:
    return key_of(parts_of(tmp_path, *settings, **given))


# What each of the engine's options may be set to, and whether that changes the weights.
STAGE = {
    "steps": ("11", True),
    "batch_size": ("32", True),
    "optimizers": ("{use: adam, lr: 1e-3}", True),
    "ema": ("100", True),
    "precision": ("bf16", True),
    "clip_gradients": ("1", True),
    "sync_batch_norm": ("true", True),
    "seed": ("1", True),
    "dataset": ("{use: mnist-5k}", True),
    "start": ("other", True),
    "evaluate": ("{every: 5, metrics: [diversity]}", False),
    "checkpoint": ("{every: 30s, keep: 7}", False),
    "health": ("{every: 5, samples: 16}", False),
    "log_every": ("3", False),
    "pictures_every": ("3", False),
}
TOP = {
    "seed": ("1", True),
    "dataset": ("{use: mnist-5k}", True),
    "deterministic": ("true", True),
    "name": ("two", False),
    "trackers": ("[]", False),
}


def test_every_option_of_the_engine_is_decided_on() -> None:
    assert set(STAGE) == set(options_of(StageSettings))
    assert set(TOP) == set(options_of(ExperimentSettings))


@pytest.mark.parametrize("option", [f"stages.gan.{name}" for name in STAGE] + list(TOP))
def test_the_engines_options(option: str, tmp_path: Path) -> None:
    spec = {**SPEC, "stages": {"other": GAN, "gan": GAN}}
    value, counts = (STAGE if "." in option else TOP)[option.rpartition(".")[2]]
    before = key(tmp_path, spec=spec)
    assert len(before) == 12
    assert (key(tmp_path, f"{option}={value}", spec=spec) != before) == counts


@pytest.mark.parametrize(
    "setting",
    [
        "generator.basis=4",
        "generator.channels=7",
        "generator=dcgan",
        "discriminator.channels=9",
        "discriminator=patch",
        "loss=hinge",
        "loss={use: hinge, margin: 2}",
        "condition=none",
        "augmentation=diffaugment",
        "regularizers[0].weight=3",
        "regularizers[0].every=2",
        "regularizers[1]=weight-clipping",
        "regularizers=[{use: r1, weight: 2}]",
        "regularizers=[orthogonality, {use: r1, weight: 2}]",
        "discriminator_steps=2",
        "discriminator_steps={value: 1, every: [5, 2]}",
        "fakes=batch",
        "optimizers={use: adam, lr: {from: 2e-4, to: 0}}",
        "optimizers={generator: adam, discriminator: {use: adam, lr: 1e-3}}",
        "ema={half_life: 10, networks: [discriminator]}",
        "dataset={use: digits, flip: true}",
    ],
)
def test_the_algorithms_options_and_those_of_its_parts(setting: str, tmp_path: Path) -> None:
    assert key(tmp_path, f"stages.gan.{setting}") != key(tmp_path)


def test_a_default_written_out_is_the_default(tmp_path: Path) -> None:
    before = parts_of(tmp_path)
    written = [
        "discriminator.head=linear",
        "loss=non-saturating",
        "fakes=sampled",
        "batch_size=64",
        "optimizers={use: adam, lr: 2e-4}",
    ]
    assert parts_of(tmp_path, *(f"stages.gan.{setting}" for setting in written)) == before
    experiment = read(tmp_path / "spec.yaml")
    assert parts_of(tmp_path, spec=to_yaml(experiment.plain())) == before


def test_the_order_of_options_does_not_matter(tmp_path: Path) -> None:
    def turned(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: turned(value[name]) for name in reversed(value)}
        return [turned(inner) for inner in value] if isinstance(value, list) else value

    assert list(turned(SPEC)) != list(SPEC)
    assert key(tmp_path, spec=turned(SPEC)) == key(tmp_path)
    two = {"optimizers": {"generator": {"use": "adam", "lr": 0.1}, "discriminator": "adam"}}
    spec = {**SPEC, "stages": {"gan": GAN | two}}
    assert key(tmp_path, spec=turned(spec)) == key(tmp_path, spec=spec)


def test_names_do_not_matter_and_keys_of_stages_used_do(tmp_path: Path) -> None:
    renamed = {**SPEC, "name": "other", "stages": {"pictures": GAN}}
    assert key(tmp_path, spec=renamed, stage="pictures") == key(tmp_path)
    features = {
        "use": "self-supervised",
        "encoder": "simclr",
        "backbone": {"use": "timm", "model": "test_resnet", "stem": "original"},
        "steps": 3,
    }
    spec = {
        **SPEC,
        "stages": {"features": features, "attributes": {"use": "classifier", "encoder": "features", "steps": 3}},
    }
    assert parts_of(tmp_path, spec=spec, stage="attributes")["encoder"] == "key-of-features.encoder"


def test_the_datasets_content_counts_and_its_place_does_not(tmp_path: Path) -> None:
    assert key(tmp_path, content="other") != key(tmp_path)
    folders = []
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
        folders.append(f"dataset={{use: image-folder, root: {tmp_path / name}, size: 8}}")
    assert key(tmp_path, folders[0]) == key(tmp_path, folders[1])
    assert not [text for text in parts_of(tmp_path, folders[0]).values() if str(tmp_path) in text]


def test_a_file_is_known_by_its_content(tmp_path: Path) -> None:
    stage = {
        "use": "self-supervised",
        "encoder": "simclr",
        "backbone": {"use": "timm", "model": "test_resnet", "stem": "original"},
        "steps": 3,
    }
    spec = {**SPEC, "stages": {"gan": stage}}
    for name, content in {"a.safetensors": b"1", "copy.safetensors": b"1", "b.safetensors": b"2"}.items():
        (tmp_path / name).write_bytes(content)
    keys = {
        name: key(tmp_path, f"stages.gan.backbone.weights={tmp_path}/{name}.safetensors", spec=spec)
        for name in ("a", "copy", "b")
    }
    assert keys["a"] == keys["copy"] != keys["b"]
    assert key(tmp_path, spec=spec) not in keys.values()
    (tmp_path / "a.safetensors").write_bytes(b"3")
    assert key(tmp_path, f"stages.gan.backbone.weights={tmp_path}/a.safetensors", spec=spec) not in keys.values()


def test_more_steps_share_what_is_left_without_them(tmp_path: Path) -> None:
    short, long = parts_of(tmp_path), parts_of(tmp_path, "stages.gan.steps=99")
    assert key_of(short) != key_of(long)
    assert key_of(short, without="steps") == key_of(long, without="steps")
    other = parts_of(tmp_path, "stages.gan.loss=hinge")
    assert key_of(short, without="steps") != key_of(other, without="steps")


def test_changes_in_words(tmp_path: Path) -> None:
    before, after = parts_of(tmp_path), parts_of(tmp_path, "stages.gan.loss=hinge", "seed=3", content="new")
    told = changes(before, after, {})
    sources = [line for line in told if line.startswith("source of ")]
    assert [line for line in told if line not in sources] == [
        "the dataset's content changed",
        "loss: non-saturating -> hinge",
        'loss.generator: "linear" (new)',
        "loss.margin: 1.0 (new)",
        "loss.smoothing: 0.0 (gone)",
        "seed: 0 -> 3",
    ]
    assert changes({"a": "1"}, {}, {}) == ["a: 1 (gone)"]
    assert changes(before, before, {}) == []


def test_changed_code_is_told_of_with_its_file_as_it_is_written(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "my_loss.py").write_text(MINE)
    (tmp_path / "registry.yaml").write_text("components: {loss: {mine: ./deep/../deep/my_loss.py:Mine}}")
    before = parts_of(tmp_path, "stages.gan.loss=mine")
    (tmp_path / "deep" / "my_loss.py").write_text(MINE.replace("- real", "+ real"))
    after = parts_of(tmp_path, "stages.gan.loss=mine")
    experiment = read(tmp_path / "spec.yaml", ["stages.gan.loss=mine"])
    where = sources(experiment.stages["gan"], experiment.host)
    assert changes(before, after, where) == ["loss 'mine': ./deep/../deep/my_loss.py changed"]
    assert changes(before, before | {"source of generator/eigengan": "another"}, where) == [
        "generator 'eigengan': ganvas_plugins.generators.eigengan, or what it imports, changed"
    ]
    assert sorted(where) == sorted(path for path in before if path.startswith("source of "))


def test_two_plugins_components_of_one_name_both_count(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(PENALTY)
    (tmp_path / "registry.yaml").write_text("components: {regularizer: {r1: ./mine.py:Mine}}")
    both = "stages.gan.regularizers=[ganvas/r1, mine/r1]"
    before = key(tmp_path, both)
    (tmp_path / "mine.py").write_text(PENALTY.replace("pass", "x = 1"))
    assert key(tmp_path, both) != before
