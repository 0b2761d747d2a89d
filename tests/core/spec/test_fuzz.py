"""Mutilated specs: whatever stands in one, checking it ends well, with ``Mistakes`` or with ``MissingData``."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from ganvas.kinds.data import MissingData
from ganvas.registry.documents import Mistakes, parse
from ganvas.runs.checking import check_experiment
from ganvas.spec.experiment import load_experiment

QUICKSTART = (Path(__file__).parents[3] / "experiments" / "quickstart.yaml").read_text(encoding="utf-8")
EVERYTHING = """
name: everything
seed: 3
deterministic: false
dataset: {use: digits, size: [8, 8], fit: pad, holdout: 0.1, part: train, flip: false}
trackers: [tensorboard, jsonl]
stages:
  attributes:
    use: classifier
    classifier: {use: mlp, hidden: 4}
    condition: {use: labels}
    optimizers: {classifier: {use: sgd, lr: {from: 0.1, to: 0.01, shape: cosine, hold: 0.1, over: {images: 100}}}}
    steps: 2
    start: gan
  gan:
    use: gan
    generator: {use: dcgan, latent: 3, channels: 2, prior: normal}
    discriminator: {use: global, channels: 2, head: {use: linear}}
    condition: labels
    augmentation: {use: diffaugment, translation: 0.2}
    regularizers: [{use: r1, weight: {from: 1, to: 0}, every: 2}, weight-clipping]
    discriminator_steps: {value: 1, first: [2, 3], every: [5, 2]}
    optimizers: {generator: adam, discriminator: {use: rmsprop, lr: 1.0e-4}}
    ema: {half_life: 100, networks: [generator]}
    precision: float32
    clip_gradients: 1.0
    checkpoint: {every: 5m, keep: 2}
    evaluate: {every: 2, metrics: [diversity, {use: attribute-accuracy, samples: 10}]}
    steps: 2
    batch_size: 4
sweep:
  stages.gan.loss: [hinge, wasserstein]
  small: {stages.gan.steps: 3, stages.gan.generator.channels: 1}
"""
# Checked as far as building it: cheap to build at any size that the mutations choose.
TINY = """
dataset: {use: digits, size: 8}
stages:
  gan:
    use: gan
    generator: {use: dcgan, latent: 3, channels: 2}
    discriminator: {use: global, channels: 2}
    loss: hinge
    condition: none
    augmentation: diffaugment
    regularizers: [{use: r1, every: 2}]
    optimizers: {use: adam, lr: 1.0e-3, betas: [0, 0.9]}
    ema: 10
    evaluate: {metrics: [diversity]}
    steps: 2
"""

WORDS = st.sampled_from(
    ["use", "steps", "gan", "generator", "digits", "labels", "none", "from", "to", "value", "over", "images", "no"]  # noqa: RUF005
    + ["extends", "sweep", "dataset", "stages", "encoder", "attributes", "attributes.classifier", "../x", "~nobody/x"]
    + ["$HOME", "", " ", ".", "a.b", "[0]", "x" * 3000, "日本語☃", "5m", "a\nb", "\0", "\x1b[31m", "\u2028", "<<"]
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 20),
    st.sampled_from([2**31, 2**63, 10**30, -(10**400), 0.5, -1.5, 1e-300, 1e308, float("inf"), float("nan")]),
    WORDS,
    st.text(max_size=8),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(WORDS, inner, max_size=3)),
    max_leaves=6,
)


def places(tree: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value below."""
    for key, inner in tree.items() if isinstance(tree, dict) else enumerate(tree):
        yield (*above, key)
        if isinstance(inner, dict | list):
            yield from places(inner, (*above, key))


@st.composite
def mutated(draw: st.DrawFn, text: str) -> str:
    """The spec with one to three values replaced, deleted, renamed, moved or added; as JSON, which is YAML too."""
    tree = copy.deepcopy(parse(text, "spec", Path()).plain)
    for _ in range(draw(st.integers(1, 3))):
        every = list(places(tree))
        if not every:
            break
        *above, key = draw(st.sampled_from(every))
        holder = tree
        for step in above:
            holder = holder[step]
        change = draw(st.sampled_from(["replace", "replace", "delete", "rename", "insert", "move"]))
        if change == "replace":
            holder[key] = draw(VALUES)
        elif change == "delete":
            del holder[key]
        elif change == "rename" and isinstance(holder, dict):
            holder[draw(WORDS)] = holder.pop(key)
        elif change == "move":
            holder[key] = copy.deepcopy(tree)
        elif isinstance(holder, dict):
            holder[draw(WORDS)] = draw(VALUES)
        else:
            holder.insert(key, draw(VALUES))
    return json.dumps(tree).replace("Infinity", ".inf").replace("NaN", ".nan")


@st.composite
def garbled(draw: st.DrawFn, text: str) -> str:
    """The text with stretches cut out, doubled, or replaced by what means something in YAML."""
    bits = st.one_of(
        st.sampled_from([*"{}[]:,-&*!|>'\"#%@\t\n\r?\0\ufeff\x85", "&a", "*a", "!!int", "<<: ", "\n---\n"]), st.text()
    )
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(text)))
        stop = min(len(text), start + draw(st.integers(0, 12)))
        text = text[:start] + draw(st.one_of(bits, st.just(text[start:stop] * 2))) + text[stop:]
    return text


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz") / "spec.yaml"


def checked(spec: Path, text: str, *, build: bool = False) -> None:
    """Reads and checks a text; raises what is neither ``Mistakes`` nor ``MissingData``."""
    try:
        spec.write_text(text, encoding="utf-8")
    except UnicodeEncodeError:
        assume(False)
    try:
        experiment = load_experiment(spec, shown="spec.yaml")
        if build:
            check_experiment(experiment)
    except MissingData:
        return
    except Mistakes as mistakes:
        one_line_each(mistakes)


def one_line_each(mistakes: Mistakes) -> None:
    lines = str(mistakes).splitlines()
    assert len(lines) == len(mistakes.problems) > 0
    assert all(line.startswith(("spec.yaml", "--set ", "override ")) for line in lines)


def many(number: int) -> settings:
    return settings(
        max_examples=number,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much],
    )


@pytest.mark.parametrize("text", [QUICKSTART, EVERYTHING, TINY], ids=["quickstart", "everything", "tiny"])
def test_the_specs_are_good(spec: Path, text: str) -> None:
    spec.write_text(text)
    assert load_experiment(spec).stages


@pytest.mark.slow
@given(text=st.one_of(mutated(QUICKSTART), mutated(EVERYTHING)))
@many(250)
def test_mutated_values(spec: Path, text: str) -> None:
    checked(spec, text)


@pytest.mark.slow
@given(text=st.one_of(garbled(QUICKSTART), garbled(EVERYTHING)))
@many(200)
def test_garbled_text(spec: Path, text: str) -> None:
    checked(spec, text)


@pytest.mark.slow
@given(text=mutated(TINY))
@many(200)
def test_mutated_values_that_are_built(spec: Path, text: str) -> None:
    checked(spec, text, build=True)


@given(
    setting=st.tuples(
        st.sampled_from(["stages.gan", "stages.gan.loss", "seed", "a.b", "stages.gan.regularizers"]), WORDS, VALUES
    )
)
@many(60)
def test_settings(spec: Path, setting: tuple[str, str, Any]) -> None:
    """``--set`` with any path and any value."""
    above, word, value = setting
    spec.write_text(TINY)
    try:
        load_experiment(spec, [f"{above}.{word}={json.dumps(value)}"], {f"{above}.{word}": value}, shown="spec.yaml")
    except Mistakes as mistakes:
        one_line_each(mistakes)
