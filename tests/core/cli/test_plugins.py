"""Plugins on the command line: what is broken is told of and breaks nothing else."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import ganvas
from ganvas.cli import main
from ganvas.registry import plugins

SPEC = """
dataset: digits
trackers: []
stages:
  gan: {use: gan, generator: {use: dcgan, channels: 4, latent: 4}, discriminator: {use: global, channels: 4},
        loss: fine, steps: 2, batch_size: 8, log_every: 1}
"""
FINE = '''
from ganvas import Loss, hookimpl


class Fine(Loss):
    """A loss that works."""

    def discriminator(self, real, fake):
        return fake.scores.mean() - real.scores.mean()

    def generator(self, fake, real):
        return -fake.scores.mean()


@hookimpl
def ganvas_components():
    return {"loss": {"fine": Fine}}
'''
ODD = FINE.replace("fine", "odd").replace("Fine", "Odd").replace("odd.scores", "fake.scores")
# What is wrong -> the plugin's source, and what a spec is told that needs it; FILE is the plugin's file.
BROKEN = {
    "import error": ("raise OSError('no device')\n", None),
    "missing dependency": ("import nothing_of_this_name\n", None),
    "misnamed hook": (ODD.replace("ganvas_components", "ganvas_component"), None),
    "bad signature": (
        ODD.replace('"""A loss that works."""', "def __init__(self, margin, *, a=1): ..."),
        [
            "the loss 'odd' of odd: FILE:6: Odd.__init__ asks for 'margin', but a loss is given nothing; "
            "put a * before it to make it an option",
            "the loss 'odd' of odd: FILE:6: the option 'a' of Odd has no type hint; write a: float = …",
        ],
    ),
    "another kind": (
        ODD.replace("Loss", "Regularizer"),
        ["the loss 'odd' of odd: FILE:5: Odd is a Regularizer, not a Loss: register it as a regularizer"],
    ),
    "no kind": (
        ODD.replace("(Loss)", ""),
        ["the loss 'odd' of odd: FILE:5: Odd is not a Loss: derive it from ganvas.Loss"],
    ),
    "two owners": (
        ODD.replace('{"odd": Odd}', '{"odd": Odd, "hinge": Odd}'),
        [
            "two plugins offer the loss 'hinge': ganvas (ganvas_plugins.losses.hinge:Hinge) and odd (FILE:Odd); "
            "write ganvas/hinge or odd/hinge"
        ],
    ),
    "a newer hook": (ODD + "\n\n@hookimpl\ndef ganvas_scalars(stage, epoch): ...\n", []),
    "a crash in a hook": (ODD + "\n\n@hookimpl\ndef ganvas_scalars(index):\n    [][index]\n", []),
}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Runs ``ganvas`` in a folder; gives the status and the lines on both streams."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GANVAS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(plugins, "_warned", set())
    (tmp_path / "spec.yaml").write_text(SPEC)

    def runner(*arguments: str) -> tuple[int, list[str], list[str]]:
        monkeypatch.setattr(sys, "argv", ["ganvas", *arguments])
        status = main._guarded()
        captured = capsys.readouterr()
        return status, captured.out.splitlines(), captured.err.splitlines()

    return runner


Run = Callable[..., tuple[int, list[str], list[str]]]


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_plugin_is_an_error_only_of_a_spec_that_needs_it(
    run: Run, case: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source, said = BROKEN[case]
    file = (tmp_path / "odd.py").resolve()
    file.write_text(source)
    Path("fine.py").write_text(FINE)
    Path("registry.yaml").write_text("plugins: [./odd.py, ./fine.py]\n")
    with caplog.at_level(logging.WARNING, "ganvas"):
        status, out, err = run("train", "spec.yaml", "--json")
        assert status == 0, err
        assert json.loads(out[-1])["stages"]["gan"]["status"] == "trained"
        needed = "hinge" if case == "two owners" else "odd"
        status, out, err = run("check", "spec.yaml", "--set", f"stages.gan.loss={needed}")
    warnings = [message.getMessage() for message in caplog.records if message.name == "ganvas"]
    if said == []:  # its loss works, whatever its hook does
        assert status == 0
    else:
        missing = (
            "no loss is called 'odd'; choose from feature-matching, fine, hinge, least-squares, minimax, multi-hinge, "
            "non-saturating, relativistic, san, softplus-least-squares, top-k, wasserstein"
        )
        said = said or [f"{missing} (broken: odd; see `ganvas plugins`)"]
        place = f"--set stages.gan.loss={needed}: stages.gan.loss: "
        assert (status, out) == (2, [])
        assert err == [place + line.replace("FILE", str(file)) for line in said]
    told = [line for line in warnings if "odd" in line]
    if case != "a crash in a hook":  # which the training's own reporter prints
        assert len(told) == 1
        assert "`ganvas plugins`" in told[0] or case == "two owners"


def test_a_crash_in_a_hook_is_shown_with_its_traceback(run: Run) -> None:
    Path("odd.py").write_text(BROKEN["a crash in a hook"][0])
    Path("registry.yaml").write_text("plugins: [./odd.py]\n")
    status, _, err = run("train", "spec.yaml", "--set", "stages.gan.loss=odd")
    said = "odd failed in ganvas_scalars (IndexError: list index out of range); training goes on without it; "
    assert status == 0
    assert [line for line in err if "odd failed" in line] == [f"warning: {said}`ganvas plugins` shows the traceback"]
    status, out, _ = run("plugins", "--json")
    found = next(record for record in json.loads(out and "\n".join(out)) if record["name"] == "odd")
    assert (status, found["status"], found["components"]) == (0, "broken", ["loss/odd"])
    assert found["error"].startswith("ganvas_scalars of odd failed, last on ")
    assert found["error"].endswith("IndexError: list index out of range")
    Path("odd.py").write_text(ODD)
    assert run("train", "spec.yaml", "--set", "stages.gan.loss=odd", "--fresh", "all")[0] == 0
    assert "odd: loaded, 1 component, " in "\n".join(run("plugins")[1])


def test_plugins_shows_everything_with_what_is_wrong(run: Run, tmp_path: Path, acme: Path) -> None:
    odd = ODD.replace('{"odd": Odd}', '{"odd": Odd, "half": Half, "gone": "gone:Gone"}')
    odd = odd.replace("\n\n@hookimpl", "\n\nclass Half(Odd):\n    def __init__(self, a): ...\n\n\n@hookimpl")
    Path("odd.py").write_text(odd)
    Path("registry.yaml").write_text("plugins: [./odd.py]\nblocked: [acme-broken]\n")
    file, registry = (tmp_path / "odd.py").resolve(), (tmp_path / "registry.yaml").resolve()
    status, out, _ = run("plugins")
    start, end = out.index(f"odd: broken, 1 of 3 components, {registry}"), len(out) - 1
    assert status == 0
    assert out[:start] == [
        "acme 1.2.3: loaded, 2 components, entry point acme_gans",
        "acme-broken 1.2.3: blocked, 0 components, entry point acme_gans.broken",
        f"ganvas {ganvas.__version__}: loaded, {len(bundled())} components, entry point ganvas_plugins",
    ]
    assert out[start + 1 : start + 4] == [
        f"    loss/half: {file}:16: Half.__init__ asks for 'a', but a loss is given nothing; "
        "put a * before it to make it an option",
        "    loss/gone: there is no module 'gone': install it, or mend the name",
        "    Traceback (most recent call last):",
    ]
    assert out[end - 1 :] == [
        "    ModuleNotFoundError: No module named 'gone'",
        "two plugins offer the loss 'hinge': acme (acme_gans.losses:Hinge) and "
        "ganvas (ganvas_plugins.losses.hinge:Hinge); write acme/hinge or ganvas/hinge",
    ]
    status, out, _ = run("plugins", "--json")
    listed = json.loads("\n".join(out))
    assert [list(record) for record in listed] == [
        ["name", "origin", "version", "status", "error", "components"] for _ in range(4)
    ]
    assert listed[0] == {
        "name": "acme",
        "origin": "entry point acme_gans",
        "version": "1.2.3",
        "status": "loaded",
        "error": None,
        "components": ["loss/slope", "loss/hinge"],
    }
    assert [record["status"] for record in listed] == ["loaded", "blocked", "loaded", "broken"]
    assert listed[3]["version"] is None
    assert listed[3]["error"].startswith(f"loss/half: {file}:16: ")
    assert listed[3]["components"] == ["loss/odd"]


def bundled() -> list[str]:
    return next(record.components for record in plugins.Host().plugins if record.name == "ganvas")


def test_list_leaves_out_what_is_broken_and_tells_names_apart(
    run: Run, acme: Path, caplog: pytest.LogCaptureFixture
) -> None:
    status, out, _ = run("list", "loss")
    assert (status, out[0]) == (0, "loss: an adversarial loss")
    named = [line.split()[0] for line in out[1:]]
    assert named == sorted(named, key=lambda name: name.split("/")[-1])
    assert {"acme/hinge", "ganvas/hinge", "slope", "wasserstein"} < set(named)
    assert not {"hinge", "odd"} & set(named)
    assert "  acme/hinge               A name that others have too." in out
    status, out, _ = run("list", "loss", "--json")
    listed = {entry["name"]: entry for entry in json.loads("\n".join(out))}
    assert list(listed) == named
    assert listed["slope"] == {
        "kind": "loss",
        "name": "slope",
        "summary": "The mean difference of the scores.",
        "source": "acme_gans.losses:Slope",
        "plugin": "acme",
        "options": [
            {
                "name": "factor",
                "type": "number (> 0)",
                "default": 1.0,
                "required": False,
                "description": "of the terms",
            }
        ],
    }
    assert len(caplog.records) == 2  # a plugin that needs a package, and a name with two owners


def test_every_listed_component_has_the_same_keys_of_the_same_types(run: Run) -> None:
    status, out, _ = run("list", "--json")
    listed = json.loads("\n".join(out))
    assert (status, len(listed)) == (0, len(bundled()))
    types = {"kind": str, "name": str, "summary": str, "source": str, "plugin": str, "options": list}
    option = {"name": str, "type": str, "default": object, "required": bool, "description": str}
    for entry in listed:
        assert list(entry) == list(types)
        assert all(isinstance(entry[key], kind) for key, kind in types.items()), entry["name"]
        for told in entry["options"]:
            assert list(told) == list(option)
            assert all(isinstance(told[key], kind) for key, kind in option.items()), (entry["name"], told["name"])
    patch = next(entry for entry in listed if entry["name"] == "patch")
    head = next(told for told in patch["options"] if told["name"] == "head")
    assert head["default"] == {"use": "linear", "kernel": 4}


def test_a_published_plugin_keeps_working_when_a_bundled_component_has_its_name(run: Run, acme: Path) -> None:
    """``acme/hinge`` trains, is stored as it is written, and the stored spec is the same stage again."""
    status, out, _ = run("train", "spec.yaml", "--json", "--set", "stages.gan.loss=acme/hinge")
    stage = json.loads(out[-1])["stages"]["gan"]
    assert (status, stage["status"]) == (0, "trained")
    assert "use: acme/hinge" in (Path(stage["folder"]) / "spec.yaml").read_text()
    status, out, _ = run("train", stage["folder"], "--json")
    again = json.loads(out[-1])["stages"]["gan"]
    assert (status, again["status"], Path(again["folder"])) == (0, "reused", Path(stage["folder"]))
    assert ganvas.load(stage["folder"])["gan"].sample(2).shape == (2, 1, 8, 8)
    status, _, err = run("train", "spec.yaml", "--set", "stages.gan.loss=hinge")
    assert (status, err) == (
        2,
        [
            "--set stages.gan.loss=hinge: stages.gan.loss: two plugins offer the loss 'hinge': acme "
            "(acme_gans.losses:Hinge) and ganvas (ganvas_plugins.losses.hinge:Hinge); write acme/hinge or ganvas/hinge"
        ],
    )
