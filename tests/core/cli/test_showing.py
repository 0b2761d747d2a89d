"""``ganvas show``: whole pages, names, and fragments of specs that run."""

from __future__ import annotations

from pathlib import Path

import pytest

import ganvas
from ganvas.cli.showing import fragment, in_block, page, wrapped
from ganvas.kinds import KINDS
from ganvas.registry.bases import BrokenComponent
from ganvas.registry.plugins import Host
from ganvas.registry.signature import where

HOST = Host()
ENTRIES = {f"{entry.kind}/{entry.name}": entry for entry in HOST.entries()}

R1 = """\
regularizer/r1

Gradient penalty at the real samples: the discriminator is to be flat on the data.

    R1 = (γ / 2) E[‖∇ₓ s(x)‖²],    x real, γ = ``weight``

s is the score (the mean over the patches, where there are several), the norm runs over all of a
sample's numbers, and the gradient goes through the augmentation. Papers differ in constants:
``half`` is the ½, ``every`` n computes it lazily, ``rescale`` multiplies it by n then, ``own_step``
gives it an optimizer step of its own. StyleGAN2: every 16, half, rescaled, own step; because of
that step its Adam has lr · c and both betas to the power of c, c = 16 / 17. EigenGAN: weight 10,
every 3, not half, rescaled. InfoSCC-GAN: weight 10, every 16, own step, neither half nor rescaled.

Source: Mescheder, Geiger and Nowozin, "Which Training Methods for GANs do actually Converge?",
2018, equation 9.

Options
  weight: number or schedule (>= 0), default 10.0
      γ, the strength
  half: true or false, default true
      the factor ½ of the paper
  every: whole number (>= 1), default 1
      computed in every n-th iteration only
  rescale: true or false, default true
      multiply a lazy term by every, to keep its mean strength
  own_step: true or false, default false
      take an optimizer step of its own
  place: first | before | after, default after
      where its own step stands: first in the iteration, before or after its side's update

Needs and gives
  joins: discriminator
      the sides it acts on.
  wants: real
      ``{{"real"}}``, ``{{"fake"}}``: whose input gradients it reads through ``match.gradients``.

In a spec

  extends: quickstart
  stages:
    gan:
      regularizers:
        - {{use: r1, weight: 10.0, half: true}}

Plugin: ganvas {version}
File: {file}
"""

HEAD = """\
head: trunk features to scores

Trunk features -> scores. Built with ``(features, condition)``: F, and the condition's shape or
None.

Attributes:
    conditional: whether the scores depend on the condition.
    gives: extra fields of its critiques. A head that wraps another gives and demands what that one
    does.
    demands: those that the loss must use, or the head is trained wrong.

The engine gives __init__: features, condition. Keyword-only arguments are the component's options.

Must offer
  forward(features: Tensor, condition: Tensor | None = None) -> Critique
      (N, F, *S) -> a critique with scores (N, *S).

May offer
  terms(match: Match) -> Terms
      Further terms, weighted, of the objective of ``match.side`` (the classes' loss of AC-GAN).

      Those of the head that it wraps as ``self.head``, unless it has others; a head with terms of
      its own adds them to these.
  check_condition(segments: Sequence[Segment]) -> None
      Raises ``ValueError`` where its terms cannot use a condition of this meaning.

      Called when the duel is built, if the algorithm says what the condition's numbers mean.

In a spec

  extends: quickstart
  stages:
    gan:
      discriminator:
        head:{first}

Heads
  {names}

Base class: ganvas.Head
File: {file}
`ganvas new head NAME` writes one of your own.
"""


def test_the_page_of_a_component() -> None:
    entry = ENTRIES["regularizer/r1"]
    file = where(HOST.resolve(entry))
    assert file.endswith("ganvas_plugins/regularizers/r1.py:11")
    assert page("regularizer/r1") == R1.format(version=ganvas.__version__, file=file)
    assert page("r1") == page("ganvas/r1").replace("ganvas/r1", "r1") == page("regularizer/r1")


def test_the_page_of_a_kind() -> None:
    text = page("head")
    first = text.partition("\n        head:")[2].partition("\n\nHeads")[0]
    names = text.partition("\nHeads\n  ")[2].partition("\n\n")[0]
    assert text == HEAD.format(first=first, names=names, file=where(ganvas.Head))
    assert "linear" in names
    for entry in HOST.entries("head"):
        assert f"{entry.name} " in names


def test_what_a_component_needs_and_gives() -> None:
    """What the contract documents and the class itself says; what depends on the options is left out."""

    def facts(name: str) -> list[str]:
        _, _, rest = page(name).partition("\nNeeds and gives\n")
        return [line[2:] for line in rest.partition("\n\n")[0].splitlines() if line[:3].strip() and line[2] != " "]

    assert facts("encoder/simclr") == ["views: simclr-views, simclr-views"]
    assert facts("metric/diversity") == ["needs: sample"]
    assert facts("algorithm/classifier") == [
        "gives: classifier (classifier)",
        "optimizers: {use: adam, lr: 0.003, betas: [0.9, 0.999], weight_decay: 1e-06}",
    ]
    assert facts("augmentation/diffaugment") == ["differentiable: true"]
    assert facts("loss/hinge") == ["monotone: true"]
    assert facts("condition/labels") == ["needs: labels", "observed: true"]


def test_options_that_are_components_name_their_kind() -> None:
    text = page("discriminator/patch")
    assert "  head: a component of the kind head, default {use: linear, kernel: 4}\n" in text
    text = page("algorithm/classifier")
    assert "  encoder: trained encoder or nothing, optional\n" in text
    assert "Options: none\n" in page("loss/wasserstein")


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_a_page(kind: str) -> None:
    text = page(kind)
    assert text.startswith(f"{kind}: {KINDS[kind].summary}\n")
    assert f"\n`ganvas new {kind} NAME` writes one of your own.\n" in text
    assert "Traceback" not in text
    assert max(map(len, text.splitlines())) <= 100 or "File: " in max(text.splitlines(), key=len)


@pytest.mark.parametrize("name", ENTRIES)
def test_every_fragment_runs(name: str, tmp_path: Path) -> None:
    """Over the quickstart it has no mistakes; where it is data or weights that are missing, they are told."""
    entry = ENTRIES[name]
    (tmp_path / "spec.yaml").write_text(f"extends: quickstart\n{fragment(HOST, entry, entry.name)}")
    report = ganvas.check(tmp_path / "spec.yaml")
    assert report.unchecked == [] or report.missing != []
    text = page(name)
    assert max(len(line) for line in text.splitlines() if not line.startswith("File: ")) <= 100
    assert "<" not in text.partition("\nIn a spec\n")[2].partition("\nPlugin: ")[0]


def test_required_options_get_values_that_work() -> None:
    def of(name: str) -> list[str]:
        return fragment(HOST, ENTRIES[name], ENTRIES[name].name).splitlines()

    assert of("dataset/image-folder") == ["dataset: {use: image-folder, root: ./images, size: 32}"]
    assert of("regularizer/classification")[2:6] == [
        "    regularizers:",
        "      - use: classification",
        "        classifier: attributes",
        "        rescale: false",
    ]
    assert of("condition/clusters")[2:5] == ["    condition:", "      use: clusters", "      encoder: features"]
    assert of("dataset/unpaired") == [
        "stages:",
        "  gan:",
        "    use: cyclegan",
        "    dataset: {use: unpaired, a: mnist-5k, b: mnist-5k}",
        "    steps: 500",
    ]


def test_a_component_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any type of option gets a value; a plain file has no version."""
    (tmp_path / "mine.py").write_text(
        "from pathlib import Path\n"
        "from typing import Annotated, Literal\n\n"
        "from pydantic import Field\n\n"
        "from ganvas import Encoder, Generator, Loss, Regularizer, Scheduled, Trained, Use\n\n\n"
        "class Mine(Loss):\n"
        '    """Mine."""\n\n'
        "    def __init__(\n"
        "        self,\n"
        "        *,\n"
        "        a: Path,\n"
        "        b: Annotated[float, Field(gt=0, lt=1)],\n"
        '        c: Literal["x", "y"],\n'
        "        d: bool,\n"
        "        e: Annotated[Scheduled, Field(ge=3)],\n"
        "        f: list[Use[Regularizer]],\n"
        "        g: Trained[Encoder],\n"
        "        h: Use[Generator] | dict[str, Use[Generator]],\n"
        "        i: tuple[int, int],\n"
        '        j: str = "a: b, too long for one line with all the others",\n'
        "    ): ...\n"
        "    def discriminator(self, real, fake): ...\n"
        "    def generator(self, fake, real): ...\n"
    )
    (tmp_path / "registry.yaml").write_text("components: {loss: {mine: ./mine.py:Mine, hinge: ./mine.py:Mine}}")
    (tmp_path / "spec.yaml").write_text("extends: quickstart\n")
    monkeypatch.chdir(tmp_path)
    text = page("mine")
    assert "Plugin: mine\n" in text
    host = Host(tmp_path)
    assert fragment(host, host.find("loss", "mine"), "mine").splitlines() == [
        "stages:",
        "  gan:",
        "    loss:",
        "      use: mine",
        "      a: ./images",
        "      b: 0.5",
        "      c: x",
        "      d: true",
        "      e: 3",
        "      f: [r1]",
        "      g: features",
        "      h: eigengan",
        "      i: [1, 1]",
        '      j: "a: b, too long for one line with all the others"',
    ]
    assert "  mine/hinge " in page("loss")
    assert "      loss:\n        use: mine/hinge\n" in page("loss/mine/hinge")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("loss/hing", "no loss is called 'hing'; did you mean 'hinge'?"),
        ("los/hinge", "there is no kind 'los'; did you mean 'loss'?"),
        ("hing", "no component and no kind is called 'hing'; did you mean 'hinge'?; `ganvas list` shows all"),
        ("los", "no component and no kind is called 'los'; did you mean 'loss'?; `ganvas list` shows all"),
        ("dcgan", "2 kinds have a 'dcgan'; write generator/dcgan or discriminator/dcgan"),
        ("zzzzz", "no component and no kind is called 'zzzzz'; `ganvas list` shows all"),
    ],
)
def test_names_there_are_not(name: str, said: str) -> None:
    with pytest.raises(BrokenComponent) as raised:
        page(name)
    assert str(raised.value) == said


def test_long_lines_are_broken_and_the_layout_stays() -> None:
    text = (
        "One two three four five six seven\n"
        "eight nine ten.\n"
        "\n"
        "    a = b + c,   d\n"
        "    e = f\n"
        "\n"
        "- first second third fourth fifth\n"
        "  sixth.\n"
        "- next\n"
        "Source: somebody, somewhere, 2020."
    )
    assert wrapped(text, 24) == [
        "One two three four five",
        "six seven eight nine",
        "ten.",
        "",
        "    a = b + c,   d",
        "    e = f",
        "",
        "- first second third",
        "  fourth fifth sixth.",
        "- next",
        "Source: somebody,",
        "somewhere, 2020.",
    ]
    assert wrapped(text, 40) == text.splitlines()


def test_an_entry_does_not_flow_into_the_next_one() -> None:
    text = "Attributes:\n    gives: extra fields of its critiques, and what\n    demands: those that are used"
    assert wrapped(text, 40) == [
        "Attributes:",
        "    gives: extra fields of its",
        "    critiques, and what",
        "    demands: those that are used",
    ]


def test_yaml_of_a_fragment() -> None:
    tree = {"a": {"b": {"use": "c", "d": [1, 2.5, None, True]}, "e": []}, "f": ["x", "no", "1e-3", "a b"], "g": {}}
    assert in_block(tree) == ('a:\n  b: {use: c, d: [1, 2.5, null, true]}\n  e: []\nf: [x, no, "1e-3", "a b"]\ng: {}\n')
