from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import ganvas
from ganvas.kinds import KINDS
from ganvas.registry.plugins import Host
from ganvas.registry.signature import options_of
from ganvas.registry.table import components


def test_components_of_one_kind() -> None:
    found = ganvas.components("loss")
    assert list(found) == sorted(found)
    assert {"hinge", "least-squares", "minimax", "non-saturating", "wasserstein"} < set(found)
    hinge = found["hinge"]
    assert list(hinge) == ["kind", "name", "summary", "source", "plugin", "options"]
    assert (hinge["kind"], hinge["name"], hinge["plugin"]) == ("loss", "hinge", "ganvas")
    assert hinge["source"] == "ganvas_plugins.losses.hinge:Hinge"
    assert hinge["options"][0] == {
        "name": "margin",
        "type": "number (> 0)",
        "default": 1.0,
        "required": False,
        "description": "score the real samples must exceed",
    }


def test_components_of_all_kinds_are_named_with_them() -> None:
    found = ganvas.components()
    assert {name.partition("/")[0] for name in found} <= set(KINDS)
    assert {"loss/hinge", "generator/dcgan", "discriminator/dcgan"} <= set(found)


def test_an_unknown_kind() -> None:
    with pytest.raises(ValueError, match=r"^there is no kind 'los'; did you mean 'loss'\?$"):
        ganvas.components("los")


def test_the_same_name_twice_is_told_apart(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from ganvas import Augmentation\nclass Mine(Augmentation):\n    forward = None\n"
    )
    (tmp_path / "registry.yaml").write_text("components: {augmentation: {none: ./mine.py:Mine}}")
    found = components("augmentation", near=tmp_path)
    assert "none" not in found
    assert [(entry["name"], entry["plugin"]) for name, entry in found.items() if name.endswith("none")] == [
        ("ganvas/none", "ganvas"),
        ("mine/none", "mine"),
    ]


def test_what_is_broken_is_left_out_with_one_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "mine.py").write_text(
        "from ganvas import Loss\nclass Half(Loss): ...\nclass Odd: ...\nclass Whole(Loss):\n"
        "    def discriminator(self, real, fake): ...\n    def generator(self, fake, real): ...\n"
    )
    names = "half: ./mine.py:Half, odd: ./mine.py:Odd, whole: ./mine.py:Whole"
    (tmp_path / "registry.yaml").write_text(f"components: {{loss: {{{names}}}}}")
    for _ in range(2):
        assert set(components("loss", near=tmp_path)) - set(ganvas.components("loss")) == {"whole"}
    assert [record.getMessage() for record in caplog.records] == [
        f"the plugin 'mine' is broken: loss/half: {tmp_path.resolve()}/mine.py:2: Half leaves out discriminator() and "
        "generator(), which a loss must have (and 1 more); see `ganvas plugins`"
    ]


def test_every_bundled_component_and_option_is_described() -> None:
    """Each class has a docstring that names its source, or says why there is none; each option has a line."""
    host = Host()
    lacking = []
    for entry in host.entries():
        component = host.resolve(entry)
        text = component.__dict__.get("__doc__") or ""
        lacking += [f"{entry.kind}/{entry.name}: Source" for _ in [0] if "Source" not in inspect.cleandoc(text)]
        lacking += [f"{entry.kind}/{entry.name}: summary" for _ in [0] if not host.summary(entry).endswith((".", "?"))]
        lacking += [f"{entry.kind}/{entry.name}.{o.name}" for o in options_of(component).values() if not o.description]
    assert lacking == []


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["list"], ["--help"], ["list", "loss"]], ids=" ".join)
def test_listing_imports_no_torch(arguments: list[str], tmp_path: Path) -> None:
    """The summaries are read from the sources; torch, timm and kornia take seconds to import."""
    code = (
        "import sys\n"
        "from ganvas.cli.main import main\n"
        f"sys.argv = ['ganvas', *{arguments!r}]\n"
        "try:\n"
        "    main()\n"
        "except SystemExit as end:\n"
        "    assert not end.code, end.code\n"
        "heavy = {'torch', 'timm', 'kornia', 'torchvision', 'sklearn'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.stderr == ""
    assert done.returncode == 0
    if arguments == ["list", "loss"]:
        lines = done.stdout.splitlines()
        assert lines[0] == "loss: an adversarial loss"
        said = "Hinge loss: the discriminator asks for a margin, the generator for the raw score."
        assert f"  {'hinge':<24} {said}" in lines
