from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

import ganvas
from ganvas.kinds.objectives import Loss
from ganvas.registry import plugins
from ganvas.registry.bases import BrokenComponent
from ganvas.registry.documents import Mistakes
from ganvas.registry.hooks import hookimpl
from ganvas.registry.plugins import Host
from ganvas.registry.table import components
from ganvas.runs.checking import check_experiment
from ganvas.spec.experiment import load_experiment, parse_experiment

LOSSES = '''
from ganvas import Loss, hookimpl


class Mine(Loss):
    """A loss of one's own.

    More about it.
    """

    def discriminator(self, real, fake):
        return fake.scores.mean() - real.scores.mean()

    def generator(self, fake, real):
        return -fake.scores.mean()


@hookimpl
def ganvas_components():
    return {"loss": {"mine": Mine}}
'''
ACME = """
import torch

from ganvas import Discriminator, Head, Optimizer, Use, hookimpl


class Linear(Head):
    def forward(self, features, condition=None): ...


class Trunk(Discriminator):
    def __init__(self, shape, condition, *, head: Use[Head] = "linear"):
        super().__init__()

    def forward(self, samples, condition=None): ...


class Adam(Optimizer):
    def build(self, parameters): ...


@hookimpl
def ganvas_components():
    return {"head": {"linear": Linear}, "discriminator": {"acme-trunk": Trunk}, "optimizer": {"adam": Adam}}
"""
SPEC = """
dataset: digits
stages:
  gan: {use: gan, generator: dcgan, discriminator: global, loss: LOSS, steps: 2}
"""
Install = Callable[..., None]


class Plain(Loss):
    """A loss of its own."""

    def discriminator(self, real: Any, fake: Any) -> Any: ...

    def generator(self, fake: Any, real: Any) -> Any: ...


@pytest.fixture(autouse=True)
def nothing_said_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "_warned", set())


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], Path]:
    def writer(name: str, text: str) -> Path:
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return writer


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Install:
    """Installs plugins beside the bundled one, by name -> module, as an entry point each."""

    def installer(**modules: Any) -> None:
        bundled = list(plugins.entry_points(group="ganvas"))

        class Point(EntryPoint):
            def load(self) -> Any:
                found = modules[self.name]
                if isinstance(found, Exception):
                    raise found
                return found

        points = [Point(name, f"module_of_{name}", "ganvas") for name in modules]
        monkeypatch.setattr(plugins, "entry_points", lambda group: [*bundled, *points])

    return installer


def offering(**names: Any) -> Any:
    """A plugin that offers losses."""
    return SimpleNamespace(ganvas_components=hookimpl(lambda: {"loss": names}))


def record(host: Host, name: str) -> plugins.PluginRecord:
    return next(record for record in host.plugins if record.name == name)


def mistakes(write: Callable[[str, str], Path], loss: str) -> list[str]:
    return mistakes_of(write, SPEC.replace("LOSS", loss))


def mistakes_of(write: Callable[[str, str], Path], spec: str) -> list[str]:
    path = write("spec.yaml", spec)
    try:
        load_experiment(path, shown="spec.yaml")
    except Mistakes as found:
        return str(found).splitlines()
    return []


# -- no plugin at all --------------------------------------------------------------------------------------------------


def test_a_host_without_any_plugin() -> None:
    host = Host(installed=False)
    assert host.entries() == []
    assert host.plugins == []
    assert host.names("loss") == []
    with pytest.raises(BrokenComponent, match=r"^no loss is called 'hinge'$"):
        host.find("loss", "hinge")


def test_a_spec_under_no_plugin_is_a_clean_list_of_mistakes(write: Callable[[str, str], Path]) -> None:
    experiment = load_experiment(write("spec.yaml", SPEC.replace("LOSS", "hinge")), shown="spec.yaml")
    with pytest.raises(Mistakes) as raised:
        parse_experiment(experiment.root, Host(installed=False), "spec.yaml", "spec")
    assert str(raised.value).splitlines() == [
        "spec.yaml:2:1: trackers[0]: no tracker is called 'tensorboard'",
        "spec.yaml:2:10: dataset: no dataset is called 'digits'",
        "spec.yaml:4:3: stages.gan.health.extractor: no extractor is called 'random'",
        "spec.yaml:4:14: stages.gan: no algorithm is called 'gan'",
    ]


# -- registry.yaml beside a spec ---------------------------------------------------------------------------------------


def test_a_component_in_a_file_beside_the_spec(write: Callable[[str, str], Path], tmp_path: Path) -> None:
    write("my_loss.py", LOSSES)
    write("registry.yaml", "components: {loss: {mine: ./my_loss.py:Mine}}")
    host = Host(tmp_path)
    entry = host.find("loss", "mine")
    assert (entry.plugin, entry.source) == ("my_loss", f"{tmp_path.resolve()}/my_loss.py:Mine")
    assert host.find("loss", "my_loss/mine") == entry
    assert host.resolve(entry).__name__ == "Mine"
    assert host.summary(entry) == "A loss of one's own."
    assert record(host, "my_loss").components == ["loss/mine"]
    experiment = load_experiment(write("spec.yaml", SPEC.replace("LOSS", "mine")))
    assert check_experiment(experiment).unchecked == []


def test_the_nearest_registry_upwards_counts(write: Callable[[str, str], Path], tmp_path: Path) -> None:
    write("my_loss.py", LOSSES)
    write("registry.yaml", "components: {loss: {mine: ./my_loss.py:Mine}}")
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert "mine" in Host(tmp_path / "a" / "b").names("loss")
    (tmp_path / "a" / "registry.yaml").write_text("blocked: [loss/hinge]")
    assert "mine" not in Host(tmp_path / "a" / "b").names("loss")
    assert "hinge" not in Host(tmp_path / "a" / "b").names("loss")


def test_a_changed_file_is_imported_anew(write: Callable[[str, str], Path], tmp_path: Path) -> None:
    write("registry.yaml", "components: {loss: {mine: ./my_loss.py:Mine}}")
    write("my_loss.py", LOSSES)
    first = Host(tmp_path).resolve(Host(tmp_path).find("loss", "mine"))
    assert Host(tmp_path).resolve(Host(tmp_path).find("loss", "mine")) is first
    write("my_loss.py", LOSSES.replace("More about it.", "Much more about it."))
    second = Host(tmp_path).resolve(Host(tmp_path).find("loss", "mine"))
    assert second is not first
    assert "Much more" in (second.__doc__ or "")


def test_plugins_of_a_registry_are_files_or_modules(
    write: Callable[[str, str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("my_plugin.py", LOSSES)
    module = ModuleType("some_installed_module")
    module.ganvas_components = offering(other="ganvas_plugins.losses.hinge:Hinge").ganvas_components  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "some_installed_module", module)
    write("registry.yaml", "plugins: [./my_plugin.py, some_installed_module]")
    host = Host(tmp_path)
    assert host.find("loss", "mine").plugin == "my_plugin"
    assert host.find("loss", "other").plugin == "some_installed_module"


def test_blocked_plugins_and_components(write: Callable[[str, str], Path], tmp_path: Path, install: Install) -> None:
    install(extra=offering(extra=Plain))
    write("registry.yaml", "blocked: [extra, loss/hinge]")
    host = Host(tmp_path)
    assert record(host, "extra").status == "blocked"
    assert record(host, "extra").components == []
    assert "extra" not in host.names("loss")
    assert "hinge" not in host.names("loss")
    assert "wasserstein" in host.names("loss")
    assert "loss/hinge" not in record(host, "ganvas").components


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[loss]", ["1:1: a registry has the keys plugins, components and blocked"]),
        ("component: {}", ["1:1: component: no such key in a registry; did you mean 'components'?"]),
        ("plugins: x.py", ["1:10: plugins: must be a list of names"]),
        ("components: [a]", ["1:13: components: must map a kind to names: loss: {mine: ./my_loss.py:Mine}"]),
        ("components: {los: {}}", ["1:14: components.los: there is no kind 'los'; did you mean 'loss'?"]),
        ("components: {loss: mine}", ["1:20: components.loss: must map names to module:attribute or ./file.py:Class"]),
        (
            "components: {loss: {mine: my_loss, other: 3}}",
            [
                "1:27: components.loss.mine: must be module:attribute or ./file.py:Class",
                "1:43: components.loss.other: must be module:attribute or ./file.py:Class",
            ],
        ),
    ],
)
def test_mistakes_in_a_registry(write: Callable[[str, str], Path], tmp_path: Path, text: str, said: list[str]) -> None:
    file = write("registry.yaml", text)
    for _ in range(2):  # the second time it is not read again
        with pytest.raises(Mistakes) as raised:
            Host(tmp_path)
        assert str(raised.value).splitlines() == [f"{file.resolve()}:{line}" for line in said]


# -- broken plugins ----------------------------------------------------------------------------------------------------


def test_a_broken_plugin_is_listed_warned_of_once_and_an_error_only_where_it_is_needed(
    write: Callable[[str, str], Path], install: Install, caplog: pytest.LogCaptureFixture
) -> None:
    install(wonderful=RuntimeError("no such device"), fine=offering(fine=Plain))
    with caplog.at_level(logging.WARNING, "ganvas"):
        host = Host()
        Host()
    (line,) = [message.getMessage() for message in caplog.records]
    assert line.startswith("the plugin 'wonderful' is broken: ")
    assert line.endswith(": RuntimeError: no such device; `ganvas plugins` shows the traceback")
    broken = record(host, "wonderful")
    assert broken.status == "broken"
    assert broken.error is not None
    first, second, *_, last = broken.error.splitlines()
    assert line.startswith(f"the plugin 'wonderful' is broken: {first}")
    assert (second, last) == ("Traceback (most recent call last):", "RuntimeError: no such device")
    assert broken.json()["components"] == []
    assert "fine" in host.names("loss")
    assert mistakes(write, "hinge") == []
    assert mistakes(write, "wonderful-loss") == [
        "spec.yaml:4:66: stages.gan.loss: no loss is called 'wonderful-loss'; choose from feature-matching, fine, "
        "hinge, least-squares, minimax, multi-hinge, non-saturating, relativistic, san, softplus-least-squares, top-k, "
        "wasserstein (broken: wonderful; see `ganvas plugins`)"
    ]


HEAD = "import ganvas\n\n\n"
OFFER = (
    '@ganvas.hookimpl\ndef ganvas_components():\n    return {"loss": {"extra": "ganvas_plugins.losses.hinge:Hinge"}}\n'
)
GIVEN = "(it gives stage, index, images, scalars)"
BROKEN = {
    "import error": ("import ganvas\n\n1 / 0\n", ["3: ZeroDivisionError: division by zero"]),
    "syntax error": ("import ganvas\n\ndef x(:\n", ["3: SyntaxError: invalid syntax"]),
    "exits": ("import sys\nsys.exit(3)\n", ["2: SystemExit: 3"]),
    "missing dependency": (
        "import nothing_of_this_name.at_all\n",
        ["1: it needs the package 'nothing_of_this_name': pip install nothing_of_this_name"],
    ),
    "imports a file beside it": (
        "import beside\n",
        ["1: beside.py lies beside it, but not on Python's path: make them a package and name its modules"],
    ),
    "misnamed hook": (
        HEAD + OFFER.replace("_components", "_component"),
        ["4: no hook is called 'ganvas_component'; did you mean 'ganvas_components'?"],
    ),
    "misnamed and not decorated": (
        HEAD + "def ganvas_scalar(): ...\n",
        ["4: no hook is called 'ganvas_scalar'; did you mean 'ganvas_scalars'?"],
    ),
    "not decorated": (
        HEAD + OFFER.removeprefix("@ganvas.hookimpl\n"),
        ["4: ganvas_components is not decorated, so it is never called: write @ganvas.hookimpl above it"],
    ),
    "no hook": (
        HEAD + "def something(): ...\n",
        [
            " the plugin has no hook: write @ganvas.hookimpl above def ganvas_components(): …, "
            "or name its classes under components: in the registry.yaml"
        ],
    ),
    "a newer hook": (
        HEAD + "@ganvas.hookimpl\ndef ganvas_epoch(): ...\n",
        ["4: ganvas 0.1.0 has no hook 'ganvas_epoch': the plugin may be written for a newer ganvas"],
    ),
    "a newer argument": (
        HEAD + "@ganvas.hookimpl\ndef ganvas_scalars(index, epoch): ...\n",
        [
            f"4: ganvas_scalars asks for 'epoch', which ganvas 0.1.0 does not give {GIVEN}: "
            "the plugin may be written for a newer ganvas"
        ],
    ),
    "a wrapper": (
        HEAD + "@ganvas.hookimpl(wrapper=True)\ndef ganvas_scalars():\n    yield\n",
        ["4: ganvas_scalars is a wrapper, which ganvas does not call: write a plain function"],
    ),
    "crashing hook": (HEAD + "@ganvas.hookimpl\ndef ganvas_components():\n    {}[1]\n", ["6: KeyError: 1"]),
    "no mapping": (
        HEAD + "@ganvas.hookimpl\ndef ganvas_components():\n    return ['mine']\n",
        ['4: ganvas_components returns [\'mine\'], which maps no kind to names; return {"loss": {"mine": Mine}}'],
    ),
    "no mapping of mappings": (
        HEAD + "@ganvas.hookimpl\ndef ganvas_components():\n    return {'loss': 3}\n",
        ['4: ganvas_components returns {\'loss\': 3}, which maps no kind to names; return {"loss": {"mine": Mine}}'],
    ),
    "nothing": (
        HEAD + "@ganvas.hookimpl\ndef ganvas_components(): ...\n",
        ['4: ganvas_components returns None, which maps no kind to names; return {"loss": {"mine": Mine}}'],
    ),
    "several": (
        HEAD + "@ganvas.hookimpl\ndef ganvas_components():\n"
        "    return {'los': {}, 'loss': {'a': 3, 'b/c': object, 'd': 'e', 'f': len, 'g': 'ganvas:h'}}\n",
        [
            "4: there is no kind 'los'; did you mean 'loss'?",
            "4: loss/a is 3, neither a class nor 'module:attribute'",
            "4: no loss can be called 'b/c': a name is a text without '/'",
            "4: loss/d is 'e', neither a class nor 'module:attribute'",
        ],
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_breaks_a_plugin(
    case: str, write: Callable[[str, str], Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One warning with file and line; what is healthy beside it works."""
    source, said = BROKEN[case]
    write("beside.py", "")
    write("healthy.py", LOSSES)
    file = write("odd.py", source).resolve()
    write("registry.yaml", "plugins: [./odd.py, ./healthy.py]")
    expected = [f"{file}:{line}" for line in said]
    host = Host(tmp_path)
    Host(tmp_path)
    (warning,) = [message.getMessage() for message in caplog.records]
    assert warning.startswith(f"the plugin 'odd' is broken: {expected[0]}")
    odd = record(host, "odd")
    assert odd.status == "broken"
    lines = (odd.error or "").splitlines()
    assert [line for line in lines if line in expected] == expected
    traced = "Traceback (most recent call last):" in lines
    assert traced == (len(lines) > len(expected) and case != "several")
    assert warning.endswith("`ganvas plugins` shows the traceback" if traced else "see `ganvas plugins`")
    assert host.resolve(host.find("loss", "mine")).__name__ == "Mine"
    assert [r.name for r in host.plugins if r.status == "broken"] == ["odd"]
    assert host.manager.has_plugin("odd") == (case == "several")  # whose hooks are in order


@pytest.mark.parametrize("hook", ["@ganvas.hookimpl\ndef ganvas_scalars(epoch): ...\n", "def ganvas_images(): ...\n"])
def test_a_plugin_whose_other_hooks_are_broken_keeps_its_components(
    hook: str, write: Callable[[str, str], Path], tmp_path: Path
) -> None:
    write("odd.py", HEAD + OFFER + hook)
    write("registry.yaml", "plugins: [./odd.py]")
    host = Host(tmp_path)
    assert record(host, "odd").status == "broken"
    assert host.find("loss", "extra").plugin == "odd"
    assert not host.manager.has_plugin("odd")


HALF = LOSSES.replace(
    '{"mine": Mine}', '{"mine": Mine, "half": Half, "far": "ganvas_plugins:Far", "gone": "gone:Gone"}'
).replace(
    "\n\n@hookimpl", "\n\nclass Half(Loss):\n    def __init__(self, *, a=1, b: list[int] = [1]): ...\n\n\n@hookimpl"
)


def test_a_plugin_of_which_some_components_are_broken(
    write: Callable[[str, str], Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Classes are checked where they are registered, what is named by a text where it is used."""
    file = write("odd.py", HALF).resolve()
    write("registry.yaml", "plugins: [./odd.py]")
    host = Host(tmp_path)
    odd = record(host, "odd")
    half = [
        f"loss/half: {file}:18: Half leaves out discriminator() and generator(), which a loss must have",
        f"loss/half: {file}:19: the option 'a' of Half has no type hint; write a: float = …",
        f"loss/half: {file}:19: the option 'b' of Half has a mutable default, [1], which all its builds would share; "
        "write a tuple, (1,)",
    ]
    assert (odd.status, odd.components, odd.offered) == ("broken", ["loss/mine", "loss/far", "loss/gone"], 4)
    assert (odd.error or "").splitlines() == half
    host.usable("loss")
    assert (odd.status, odd.components, odd.offered) == ("broken", ["loss/mine"], 4)
    lines = (odd.error or "").splitlines()
    assert lines[3:6] == [
        "loss/far: ganvas_plugins has no attribute 'Far'",
        "loss/gone: there is no module 'gone': install it, or mend the name",
        "Traceback (most recent call last):",
    ]
    assert [message.getMessage() for message in caplog.records] == [
        f"the plugin 'odd' is broken: {half[0]} (and 2 more); see `ganvas plugins`",
        "the plugin 'odd' is broken: loss/far: ganvas_plugins has no attribute 'Far' (and 1 more); "
        "see `ganvas plugins`",
    ]
    assert mistakes(write, "mine") == []
    assert mistakes(write, "half") == [
        f"spec.yaml:4:66: stages.gan.loss: the loss 'half' of odd: {line.removeprefix('loss/half: ')}" for line in half
    ]


def test_a_broken_component_is_an_error_only_where_it_is_used(
    write: Callable[[str, str], Path], tmp_path: Path
) -> None:
    write("bad.py", "import nothing_of_this_name\n")
    write("odd.py", "class Odd: pass\n")
    names = "gone: ./bad.py:Bad, lost: ./odd.py:Lost, odd: ./odd.py:Odd, none: ./none.py:None_"
    write("registry.yaml", f"components: {{loss: {{{names}}}}}")
    folder = tmp_path.resolve()
    assert mistakes(write, "hinge") == []
    assert mistakes(write, "gone") == [
        f"spec.yaml:4:66: stages.gan.loss: the loss 'gone' of bad: {folder}/bad.py:1: "
        "it needs the package 'nothing_of_this_name': pip install nothing_of_this_name"
    ]
    assert mistakes(write, "lost") == [
        f"spec.yaml:4:66: stages.gan.loss: the loss 'lost' of odd: {folder}/odd.py has no attribute 'Lost'; "
        "choose from Odd"
    ]
    assert mistakes(write, "odd") == [
        f"spec.yaml:4:66: stages.gan.loss: the loss 'odd' of odd: {folder}/odd.py:1: Odd is not a Loss: "
        "derive it from ganvas.Loss"
    ]
    assert mistakes(write, "none") == [
        f"spec.yaml:4:66: stages.gan.loss: the loss 'none' of none: ImportError: there is no file {folder}/none.py"
    ]
    assert "gone" not in components("loss", near=tmp_path)


def test_what_cannot_be_read_is_not_listed(
    write: Callable[[str, str], Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write("mine.py", LOSSES)
    write("bad.py", "class Bad(:\n")
    write("registry.yaml", "components: {loss: {mine: ./mine.py:Mine, bad: ./bad.py:Bad, worse: ./bad.py:Worse}}")
    listed = {entry.name: summary for entry, summary in Host(tmp_path).listed("loss")}
    assert listed["mine"] == "A loss of one's own."
    assert not {"bad", "worse"} & set(listed)
    assert [message.getMessage() for message in caplog.records] == [
        f"the plugin 'bad' is broken: loss/bad: {tmp_path.resolve()}/bad.py:1: SyntaxError: invalid syntax "
        "(and 1 more); `ganvas plugins` shows the traceback"
    ]


# -- names -------------------------------------------------------------------------------------------------------------


def test_the_same_name_twice_names_both_owners(write: Callable[[str, str], Path], tmp_path: Path) -> None:
    write("my_loss.py", LOSSES)
    write("registry.yaml", "components: {loss: {hinge: ./my_loss.py:Mine}}")
    assert mistakes(write, "hinge") == [
        "spec.yaml:4:66: stages.gan.loss: two plugins offer the loss 'hinge': "
        "ganvas (ganvas_plugins.losses.hinge:Hinge) "
        f"and my_loss ({tmp_path.resolve()}/my_loss.py:Mine); write ganvas/hinge or my_loss/hinge"
    ]
    assert mistakes(write, "wasserstein") == []
    for owner, name in (("ganvas", "Hinge"), ("my_loss", "Mine")):
        experiment = load_experiment(write("spec.yaml", SPEC.replace("LOSS", f"{owner}/hinge")))
        assert experiment.stages["gan"].algorithm.options["loss"].cls.__name__ == name
        assert experiment.plain()["stages"]["gan"]["loss"]["use"] == f"{owner}/hinge"
    assert mistakes(write, "other/hinge")[0].startswith(
        "spec.yaml:4:66: stages.gan.loss: no loss is called 'other/hinge'"
    )


def test_two_owners_of_one_name_are_one_warning(
    write: Callable[[str, str], Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write("my_loss.py", LOSSES)
    write("other.py", LOSSES)
    write("registry.yaml", "plugins: [./my_loss.py, ./other.py]")
    host = Host(tmp_path)
    Host(tmp_path)
    folder = tmp_path.resolve()
    said = (
        f"two plugins offer the loss 'mine': my_loss ({folder}/my_loss.py:Mine) and other ({folder}/other.py:Mine); "
        "write my_loss/mine or other/mine"
    )
    assert [message.getMessage() for message in caplog.records] == [said]
    assert host.clashes() == [said]
    named = [host.name_of(entry) for entry, _ in host.listed("loss")]
    assert [name for name in named if name.endswith("mine")] == ["my_loss/mine", "other/mine"]
    assert mistakes(write, "mine") == [f"spec.yaml:4:66: stages.gan.loss: {said}"]
    assert mistakes(write, "other/mine") == []


def test_a_broken_component_takes_nobodys_name_away(write: Callable[[str, str], Path], tmp_path: Path) -> None:
    write("bad.py", "import nothing_of_this_name\n")
    write("registry.yaml", "components: {loss: {hinge: ./bad.py:Bad}}")
    assert mistakes(write, "hinge") == []
    assert mistakes(write, "bad/hinge")[0].endswith("pip install nothing_of_this_name")


def test_a_default_is_the_components_own_plugins_where_several_have_the_name(
    write: Callable[[str, str], Path], tmp_path: Path
) -> None:
    """Whatever is installed beside it: a bundled part stays the default of a bundled one, and acme's of acme's."""
    write("acme.py", ACME)
    write("registry.yaml", "plugins: [./acme.py]")
    spec = SPEC.replace("global", "patch").replace("loss: LOSS", "loss: minimax")
    gan = load_experiment(write("spec.yaml", spec)).stages["gan"]
    assert gan.algorithm.options["discriminator"].plain()["head"]["use"] == "ganvas/linear"
    assert gan.settings.options["optimizers"].name == "ganvas/adam"
    spec = spec.replace("patch", "acme-trunk")
    gan = load_experiment(write("spec.yaml", spec)).stages["gan"]
    assert gan.algorithm.options["discriminator"].plain()["head"] == {"use": "acme/linear"}
    assert mistakes_of(write, spec.replace("acme-trunk", "{use: acme-trunk, head: linear}"))[0].startswith(
        "spec.yaml:4:76: stages.gan.discriminator.head: two plugins offer the head 'linear': ganvas ("
    )


def test_a_plugin_of_the_same_name_twice_is_broken_and_the_first_one_stays(install: Install) -> None:
    install(ganvas=offering(mine=Plain))
    host = Host()
    found = [record for record in host.plugins if record.name == "ganvas"]
    assert [record.status for record in found] == ["loaded", "broken"]
    assert found[1].error == "two plugins are called 'ganvas', and the first one counts; rename one"
    assert host.manager.has_plugin("ganvas")


def test_another_kinds_name_is_pointed_out() -> None:
    with pytest.raises(BrokenComponent, match=r"no loss is called 'dcgan'; choose from .* \('dcgan' is a generator\)$"):
        Host().find("loss", "dcgan")


# -- a distribution that pip installed ---------------------------------------------------------------------------------


def test_entry_points_of_an_installed_distribution(
    acme: Path, write: Callable[[str, str], Path], caplog: pytest.LogCaptureFixture
) -> None:
    host = Host()
    found, broken = record(host, "acme"), record(host, "acme-broken")
    assert (found.origin, found.version, found.status) == ("entry point acme_gans", "1.2.3", "loaded")
    assert found.components == ["loss/slope", "loss/hinge"]
    assert "acme_gans.losses" not in sys.modules  # imported when used
    entry = host.find("loss", "slope")
    assert (entry.plugin, entry.source) == ("acme", "acme_gans.losses:Slope")
    assert host.find("loss", "acme/slope") == entry
    assert host.summary(entry) == "The mean difference of the scores."
    assert host.resolve(entry).__module__ == "acme_gans.losses"
    needs = (
        f"{acme}/acme_gans/broken.py:1: it needs the package 'nothing_of_this_name': pip install nothing_of_this_name"
    )
    assert (broken.version, broken.status) == ("1.2.3", "broken")
    assert (broken.error or "").startswith(f"{needs}\nTraceback")
    assert [message.getMessage() for message in caplog.records] == [
        f"the plugin 'acme-broken' is broken: {needs}; `ganvas plugins` shows the traceback",
        "two plugins offer the loss 'hinge': acme (acme_gans.losses:Hinge) and "
        "ganvas (ganvas_plugins.losses.hinge:Hinge); write acme/hinge or ganvas/hinge",
    ]
    assert mistakes(write, "{use: slope, factor: 2}") == []
    assert mistakes(write, "{use: slope, factor: 0}") == [
        "spec.yaml:4:87: stages.gan.loss.factor: must be greater than 0, not 0"
    ]


def test_an_installed_module_and_a_component_of_it_named_in_a_registry(
    acme: Path, write: Callable[[str, str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GANVAS_PLUGINS", "acme_aside, acme_gans")
    write("registry.yaml", "plugins: [acme_aside]\ncomponents: {loss: {mine: acme_gans.losses:Slope}}")
    host = Host(tmp_path)
    assert {name: record(host, name).status for name in ("acme", "acme-broken", "acme_aside", "acme_gans")} == {
        "acme": "blocked",
        "acme-broken": "blocked",
        "acme_aside": "loaded",
        "acme_gans": "loaded",
    }
    assert set(host.names("loss")) - set(Host().names("loss")) == {"aside", "mine"}
    assert host.find("loss", "aside").source == "acme_gans.losses:Slope"
    assert mistakes(write, "aside") == []
    assert mistakes(write, "acme_gans/mine") == []
    monkeypatch.setenv("GANVAS_PLUGINS", "off")
    bundled = Host(tmp_path).names("loss")
    assert not {"aside", "mine"} & set(bundled)
    assert mistakes(write, "aside") == [
        f"spec.yaml:4:66: stages.gan.loss: no loss is called 'aside'; choose from {', '.join(bundled)}"
    ]


def test_a_registry_may_name_what_has_an_entry_point(
    acme: Path, write: Callable[[str, str], Path], tmp_path: Path
) -> None:
    write("registry.yaml", "plugins: [acme_gans]")
    host = Host(tmp_path)
    assert [(record(host, name).status, record(host, name).error) for name in ("acme", "acme_gans")] == [
        ("loaded", None),
        ("loaded", None),
    ]
    assert host.find("loss", "slope").plugin == "acme"


def test_an_installed_module_registered_from_python(acme: Path, write: Callable[[str, str], Path]) -> None:
    import acme_aside  # pyright: ignore[reportMissingImports]

    ganvas.plugins.register(acme_aside)
    try:
        assert (record(Host(), "acme_aside").origin, record(Host(), "acme_aside").version) == ("registered", None)
        assert mistakes(write, "aside") == []
    finally:
        ganvas.plugins.unregister("acme_aside")
    assert mistakes(write, "aside") != []


# -- from Python -------------------------------------------------------------------------------------------------------


@pytest.fixture
def registered() -> Any:
    ganvas.plugins.register(offering(mine=Plain), "notebook")
    yield
    ganvas.plugins.unregister("notebook")


def test_a_plugin_registered_from_python(registered: None, write: Callable[[str, str], Path]) -> None:
    assert Host().find("loss", "mine").plugin == "notebook"
    assert mistakes(write, "mine") == []
    assert components("loss")["mine"]["source"] == f"{__name__}:Plain"
    ganvas.plugins.unregister("notebook")
    assert "mine" not in Host().names("loss")


def test_plugins_can_be_switched_off(registered: None, install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install(extra=offering(extra=Plain))
    for chosen, expected in (("off", set()), ("extra", {"extra"}), ("notebook, extra", {"extra", "mine"}), ("", set())):
        monkeypatch.setenv("GANVAS_PLUGINS", chosen)
        host = Host()
        assert set(host.names("loss")) & {"extra", "mine"} == expected
        assert "hinge" in host.names("loss")
    monkeypatch.delenv("GANVAS_PLUGINS")
    assert {"extra", "mine"} <= set(Host().names("loss"))
