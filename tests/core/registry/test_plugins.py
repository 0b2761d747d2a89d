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
from ganvas.registry.documents import Mistakes
from ganvas.registry.hooks import hookimpl
from ganvas.registry.plugins import BrokenComponent, Host
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
SPEC = """
dataset: digits
stages:
  gan: {use: gan, generator: dcgan, discriminator: global, loss: LOSS, steps: 2}
"""
Install = Callable[..., None]


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
        monkeypatch.setattr(plugins, "_warned", set())

    return installer


def offering(**names: Any) -> Any:
    """A plugin that offers losses."""
    return SimpleNamespace(ganvas_components=hookimpl(lambda: {"loss": names}))


def record(host: Host, name: str) -> plugins.PluginRecord:
    return next(record for record in host.plugins if record.name == name)


def mistakes(write: Callable[[str, str], Path], loss: str) -> list[str]:
    path = write("spec.yaml", SPEC.replace("LOSS", loss))
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
    module.ganvas_components = offering(other=f"{__name__}:Loss").ganvas_components  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "some_installed_module", module)
    write("registry.yaml", "plugins: [./my_plugin.py, some_installed_module]")
    host = Host(tmp_path)
    assert host.find("loss", "mine").plugin == "my_plugin"
    assert host.find("loss", "other").plugin == "some_installed_module"


def test_blocked_plugins_and_components(write: Callable[[str, str], Path], tmp_path: Path, install: Install) -> None:
    install(extra=offering(extra=Loss))
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
    install(wonderful=RuntimeError("no such device"), fine=offering(fine=Loss))
    with caplog.at_level(logging.WARNING, "ganvas"):
        host = Host()
        Host()
    assert [message.getMessage() for message in caplog.records] == [
        "the plugin 'wonderful' could not be loaded (RuntimeError: no such device); `ganvas plugins` shows why"
    ]
    broken = record(host, "wonderful")
    assert broken.status == "broken"
    assert broken.error is not None
    assert broken.error.startswith("Traceback")
    assert broken.error.rstrip().endswith("RuntimeError: no such device")
    assert broken.json()["components"] == []
    assert "fine" in host.names("loss")
    assert mistakes(write, "hinge") == []
    assert mistakes(write, "wonderful-loss") == [
        "spec.yaml:4:66: stages.gan.loss: no loss is called 'wonderful-loss'; choose from fine, hinge, least-squares, "
        "minimax, non-saturating, wasserstein (not loaded: wonderful; see `ganvas plugins`)"
    ]


@pytest.mark.parametrize(
    ("plugin", "error"),
    [
        (
            SimpleNamespace(ganvas_components=hookimpl(lambda: {"los": {}})),
            "there is no kind 'los'; did you mean 'loss'?",
        ),
        (SimpleNamespace(ganvas_component=hookimpl(lambda **given: given)), "unknown hook 'ganvas_component'"),
        (SimpleNamespace(ganvas_components=hookimpl(lambda: 1 / 0)), "ZeroDivisionError: division by zero"),
    ],
)
def test_what_breaks_a_plugin(plugin: Any, error: str, install: Install) -> None:
    install(odd=plugin)
    found = record(Host(), "odd")
    assert found.status == "broken"
    assert error in (found.error or "")
    assert Host().names("loss") == ["hinge", "least-squares", "minimax", "non-saturating", "wasserstein"]


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
        f"spec.yaml:4:66: stages.gan.loss: the loss 'gone' of bad: {folder}/bad.py cannot be imported: "
        "ModuleNotFoundError: No module named 'nothing_of_this_name'"
    ]
    assert mistakes(write, "lost") == [
        f"spec.yaml:4:66: stages.gan.loss: the loss 'lost' of odd: {folder}/odd.py has no attribute 'Lost'"
    ]
    assert mistakes(write, "odd") == [
        f"spec.yaml:4:66: stages.gan.loss: the loss 'odd' of odd ({folder}/odd.py:Odd) is not a Loss: "
        "derive the class from ganvas.Loss"
    ]
    assert mistakes(write, "none") == [
        f"spec.yaml:4:66: stages.gan.loss: the loss 'none' of none: {folder}/none.py cannot be imported: "
        f"ImportError: there is no file {folder}/none.py"
    ]
    assert "gone" not in components("loss", near=tmp_path)


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


def test_a_plugin_of_the_same_name_twice_is_broken(install: Install) -> None:
    install(ganvas=offering(mine=Loss))
    found = [record for record in Host().plugins if record.name == "ganvas"]
    assert [record.status for record in found] == ["loaded", "broken"]
    assert "two plugins are called 'ganvas'" in (found[1].error or "")


def test_another_kinds_name_is_pointed_out() -> None:
    with pytest.raises(BrokenComponent, match=r"no loss is called 'dcgan'; choose from .* \('dcgan' is a generator\)$"):
        Host().find("loss", "dcgan")


# -- from Python -------------------------------------------------------------------------------------------------------


@pytest.fixture
def registered() -> Any:
    ganvas.plugins.register(offering(mine=Loss), "notebook")
    yield
    ganvas.plugins.unregister("notebook")


def test_a_plugin_registered_from_python(registered: None, write: Callable[[str, str], Path]) -> None:
    assert Host().find("loss", "mine").plugin == "notebook"
    assert mistakes(write, "mine") == []
    assert components("loss")["mine"]["source"] == "ganvas.kinds.objectives:Loss"
    ganvas.plugins.unregister("notebook")
    assert "mine" not in Host().names("loss")


def test_plugins_can_be_switched_off(registered: None, install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install(extra=offering(extra=Loss))
    for chosen, expected in (("off", set()), ("extra", {"extra"}), ("notebook, extra", {"extra", "mine"}), ("", set())):
        monkeypatch.setenv("GANVAS_PLUGINS", chosen)
        host = Host()
        assert set(host.names("loss")) & {"extra", "mine"} == expected
        assert "hinge" in host.names("loss")
    monkeypatch.delenv("GANVAS_PLUGINS")
    assert {"extra", "mine"} <= set(Host().names("loss"))
