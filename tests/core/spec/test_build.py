from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from ganvas.kinds.options import Trained, Use
from ganvas.registry.documents import Mistakes, Node, Place, parse
from ganvas.registry.plugins import Host
from ganvas.spec.build import Builder, derived_seed, fork_random
from ganvas.spec.validate import Component, Validator

PARTS = '''
from types import MappingProxyType
from typing import Annotated

import torch

from ganvas import Encoder, Head, Loss, Scheduled, Trained, Use


class Plain(Loss):
    def discriminator(self, real, fake): ...
    def generator(self, fake, real): ...


class Pair(Plain):
    """Two heads, the first of which may be built last."""

    def __init__(self, *, first: Use[Head] = "linear", second: Use[Head] = "linear", turned: bool = False):
        super().__init__()
        self.uses = first, second
        if turned:
            self.second = second(3, None)
        self.first = first(3, None)
        if not turned:
            self.second = second(3, None)


class Keeps(Plain):
    """Keeps what it is given."""

    def __init__(
        self,
        *,
        rate: Scheduled = 1,
        heads: list[Use[Head]] = ("linear",),
        pair: tuple[Scheduled, Scheduled] = (1, 2),
        named: dict[str, Use[Head]] = MappingProxyType({}),
        encoder: Trained[Encoder] | None = None,
    ):
        super().__init__()
        self.given = {"rate": rate, "heads": heads, "pair": pair, "named": named, "encoder": encoder}


class Refuses(Plain):
    def __init__(self, *, how: str = "no\\n  way"):
        raise (RuntimeError if how == "torch" else ValueError)(how)
'''


@pytest.fixture
def host(tmp_path: Path) -> Host:
    (tmp_path / "parts.py").write_text(PARTS)
    (tmp_path / "registry.yaml").write_text(
        "components: {loss: {pair: ./parts.py:Pair, keeps: ./parts.py:Keeps, refuses: ./parts.py:Refuses}}\n"
    )
    return Host(tmp_path)


def component(host: Host, text: str, path: str = "stages.gan.loss") -> Component:
    validator = Validator(host)
    found = validator.component(parse(text, "spec.yaml", Path()), "loss", path)
    assert validator.problems == []
    assert found is not None
    return found


def weights(module: torch.nn.Module) -> dict[str, list[float]]:
    return {name: value.flatten().tolist() for name, value in module.state_dict().items()}


def test_the_order_of_building_changes_nothing(host: Host) -> None:
    there = Builder(3).build(component(host, "{use: pair, turned: false}"))
    back = Builder(3).build(component(host, "{use: pair, turned: true}"))
    assert weights(there) == weights(back)
    assert weights(there.first) != weights(there.second)


def test_each_call_builds_anew_and_the_same_every_time(host: Host) -> None:
    first, _ = Builder(3).build(component(host, "pair")).uses
    second = first(3, None)
    third = first(3, None)
    again, _ = Builder(3).build(component(host, "pair")).uses
    built = Builder(3).build(component(host, "pair"))
    assert weights(second) != weights(third)
    assert weights(second) != weights(built.first)
    assert weights(second) == weights(again(3, None))
    assert weights(third) == weights(again(3, None))


def test_the_seed_and_the_path_decide_but_not_the_stages_name(host: Host) -> None:
    def made(seed: int, path: str) -> Any:
        return weights(Builder(seed).build(component(host, "pair", path)))

    assert made(3, "stages.gan.loss") == made(3, "stages.other.loss")
    assert made(3, "stages.gan.loss") != made(4, "stages.gan.loss")
    assert made(3, "stages.gan.loss") != made(3, "stages.gan.second")


def test_the_global_generator_is_untouched(host: Host) -> None:
    torch.manual_seed(11)
    expected = torch.rand(3).tolist()
    torch.manual_seed(11)
    Builder(3).build(component(host, "pair"))
    with pytest.raises(Mistakes):
        Builder(3).build(component(host, "refuses"))
    assert torch.rand(3).tolist() == expected


def test_fork_random_gives_the_state_back() -> None:
    before = torch.random.get_rng_state()
    with fork_random(5):
        first = torch.rand(2).tolist()
    with fork_random(5):
        assert torch.rand(2).tolist() == first
    assert torch.equal(torch.random.get_rng_state(), before)


def test_derived_seeds() -> None:
    assert derived_seed(1, "a", 0) == derived_seed(1, "a", 0) == 5163718474583773044
    assert len({derived_seed(1, "a", 0), derived_seed(1, "a", 1), derived_seed(1, "a0"), derived_seed(11, "", 0)}) == 4
    assert all(0 <= derived_seed(number) < 2**63 for number in range(100))


def test_every_form_arrives_as_its_type(host: Host) -> None:
    encoder = torch.nn.Linear(2, 2)
    heads = "heads: [linear, {use: linear, kernel: 3}], named: {a: linear}"
    text = f"{{use: keeps, rate: {{from: 1, to: 2}}, {heads}, encoder: x}}"
    made = Builder(0, lambda reference: encoder).build(component(host, text)).given
    assert (made["rate"].value, made["rate"].to) == (1.0, 2.0)
    assert [(type(use), use.name, use.options["kernel"]) for use in made["heads"]] == [
        (Use, "linear", 1),
        (Use, "linear", 3),
    ]
    assert isinstance(made["pair"], tuple)
    assert [number.value for number in made["pair"]] == [1.0, 2.0]
    assert made["named"]["a"].path == "stages.gan.loss.named.a"
    assert isinstance(made["encoder"], Trained)
    assert not encoder.training
    assert not any(parameter.requires_grad for parameter in encoder.parameters())


def test_nothing_trained_is_a_mistake(host: Host) -> None:
    with pytest.raises(Mistakes, match=r"^spec.yaml:1:23: stages.gan.loss.encoder: nothing is trained here$"):
        Builder(0).build(component(host, "{use: keeps, encoder: x}"))


def test_a_value_error_is_a_mistake_with_its_place(host: Host) -> None:
    with pytest.raises(Mistakes, match=r"^spec.yaml:1:1: stages.gan.loss: no way$"):
        Builder(0).build(component(host, "refuses"))


def test_torchs_own_errors_are_mistakes_only_where_nothing_is_really_made(host: Host) -> None:
    bad = component(host, "{use: refuses, how: torch}")
    with pytest.raises(RuntimeError, match="torch"):
        Builder(0).build(bad)
    expected = "spec.yaml:1:7: stages.gan.loss: it cannot be built with these options: torch"
    with pytest.raises(Mistakes, match=f"^{expected}$"):
        Builder(0, checking=True).build(bad)


def test_named_sources_are_one_dataset() -> None:
    validator = Validator(Host())
    digits = validator.component(Node.of("digits", Place("x")), "dataset", "dataset.a")
    small = validator.component(Node.of({"use": "digits", "holdout": 0.5}, Place("x")), "dataset", "dataset.b")
    assert digits is not None
    assert small is not None
    made = Builder(0).dataset({"a": digits, "b": small})
    assert list(made.sources) == ["a", "b"]
    assert len(made) == len(made.sources["a"]) == 1797
    assert len(made.sources["b"]) == 899
    assert sorted(made[1000]) == ["a.images", "a.labels", "b.images", "b.labels"]
