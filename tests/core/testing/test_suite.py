"""``conformance``: what it takes, what it tries, and how it fails."""

from __future__ import annotations

from pathlib import Path
from unittest import SkipTest

import pytest
import torch

import ganvas
from ganvas import Critique, Loss, MissingData
from ganvas.registry.bases import BrokenComponent
from ganvas.registry.documents import Mistakes
from ganvas.registry.plugins import Host
from ganvas.testing import Check, ContractBroken, conformance
from ganvas.testing.suite import Broken, Case, Subject, Suite


class Linear(Loss):
    """Scores as they are."""

    def discriminator(self, real: Critique, fake: Critique) -> torch.Tensor:
        return fake.scores.mean() - real.scores.mean()

    def generator(self, fake: Critique, real: Critique) -> torch.Tensor:
        return -fake.scores.mean()


@pytest.mark.parametrize("component", ["loss/hinge", "hinge", "ganvas/hinge", "loss/ganvas/hinge"])
def test_a_component_by_any_of_its_names(component: str) -> None:
    subject = Subject(component, {"margin": 3})
    assert (subject.kind, subject.cls.__name__, subject.component.options["margin"]) == ("loss", "Hinge", 3.0)


def test_a_class_that_no_plugin_offers() -> None:
    checks = conformance(Linear)
    for check in checks:
        if check.function.__name__ != "its_own_network_learns":
            check()
    assert len(checks) > 10
    assert "linear" not in ganvas.components("loss")
    assert not any(record.name == "ganvas.testing" for record in Host().plugins)


def test_the_doubles_are_there_when_plugins_are_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANVAS_PLUGINS", "off")
    assert Subject(Linear, {}).cls is Linear


def test_a_file_beside_a_registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.py").write_text(
        "from ganvas import Loss\n\n\nclass Mine(Loss):\n"
        "    def discriminator(self, real, fake):\n        return (fake.scores - real.scores).mean()\n\n"
        "    def generator(self, fake, real):\n        return fake.scores.mean()\n"
    )
    (tmp_path / "registry.yaml").write_text("components: {loss: {mine: ./mine.py:Mine}}")
    monkeypatch.chdir(tmp_path)
    (check,) = [
        check for check in conformance("loss/mine") if check.function.__name__ == "gradients_have_the_right_sign"
    ]
    with pytest.raises(ContractBroken) as broken:
        check()
    assert str(broken.value).splitlines() == [
        "loss/mine breaks its contract (28x28-grey)",
        "  the contract asks: descending the loss raises the real and lowers the fake scores for the discriminator, "
        "and raises the fake ones for the generator, where the other side is ahead",
        "  what came: descending generator() lowers fake scores (gradient 0.167 at scores near -2)",
        f"  where to look: {tmp_path / 'mine.py'}:5 Mine.discriminator: a sign, or a detach()",
    ]


@pytest.mark.parametrize(
    ("component", "said"),
    [
        ("loss/hing", "no loss is called 'hing'; did you mean 'hinge'?"),
        ("hing", "there is no component 'hing'; write KIND/NAME, such as loss/hinge"),
        ("dcgan", "'dcgan' is of several kinds; write generator/dcgan or discriminator/dcgan"),
    ],
)
def test_a_name_that_is_not_there(component: str, said: str) -> None:
    with pytest.raises(BrokenComponent) as error:
        conformance(component)
    assert str(error.value) == said


def test_a_class_of_no_kind() -> None:
    with pytest.raises(BrokenComponent, match=r":\d+: Case is of no kind; derive it from one of ganvas' base classes$"):
        conformance(Case)


def test_wrong_options_are_mistakes() -> None:
    with pytest.raises(Mistakes) as error:
        conformance("loss/hinge", margni=2.0)
    said = "loss.margni: the loss 'hinge' has no option 'margni'; did you mean 'margin'?"
    assert str(error.value) == f"conformance(loss/hinge): {said}"


def test_networks_are_tried_at_several_sizes_and_under_conditions() -> None:
    cases = Subject("generator/dcgan", {"channels": 4}).cases()
    devices = 2 if torch.cuda.is_available() else 1
    assert len(cases) == 4 * devices
    assert {str(case) for case in cases if case.device == "cpu"} == {
        "28x28-grey",
        "28x28-grey-conditional",
        "32x48-RGB",
        "32x48-RGB-conditional",
    }


class Square(ganvas.Translator):
    """It takes square images of 64 pixels and more."""

    def __init__(self, shape: tuple[int, ...], condition: tuple[int, ...] | None) -> None:
        super().__init__()
        if shape[1] != shape[2] or shape[1] < 64:
            raise ValueError("the images are to be square, of 64 pixels at least")
        self.layer = torch.nn.Conv2d(shape[0], shape[0], 1)

    def forward(self, images: torch.Tensor, condition: torch.Tensor | None = None) -> torch.Tensor:
        return self.layer(images).tanh()


def test_other_sizes_where_the_usual_ones_are_refused() -> None:
    shapes = {case.shape for case in Subject(Square, {}).cases()}
    assert shapes == {(3, 64, 64), (3, 128, 128), (3, 256, 256)}


def test_required_parts_are_played_by_doubles() -> None:
    subject = Subject("algorithm/gan", {})
    made = subject.build(Case())
    assert type(made.duel.generator).__module__ == "ganvas.testing.doubles"
    classified = Subject("regularizer/classification", {})
    assert classified.component.options["classifier"].text == "double"


def test_how_a_check_ends() -> None:
    suite = Suite("loss")

    @suite.check("this", "there", "generator")
    def breaks(subject: Subject, case: Case) -> None:
        raise Broken("that")

    @suite.check("this", "there")
    def fails(subject: Subject, case: Case) -> None:
        raise KeyError("what")

    @suite.check("this", "there")
    def lacks(subject: Subject, case: Case) -> None:
        raise MissingData("fetch it")

    @suite.check("this", "there", kinds=("generator",))
    def of_another_kind(subject: Subject, case: Case) -> None:
        raise AssertionError

    subject = Subject("loss/hinge", {})
    broken, failed, missing = suite.checks(subject, subject.cases())
    with pytest.raises(ContractBroken) as error:
        broken()
    place = f"{Path(subject.cls.__module__.replace('.', '/'))}.py"
    lines = str(error.value).splitlines()
    assert lines[1:3] == ["  the contract asks: this", "  what came: that"]
    assert f"{place}:" in lines[3]
    assert lines[3].endswith(" Hinge.generator: there")
    with pytest.raises(ContractBroken, match=rf"what came: KeyError: 'what', raised at {__file__}:\d+\n"):
        failed()
    with pytest.raises(SkipTest, match=r"^its data or weights are not there: fetch it$"):
        missing()
    assert isinstance(broken, Check)
    assert repr(broken) == "<loss/hinge: breaks>"
