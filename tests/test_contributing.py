"""CONTRIBUTING is true: its table is that of the kinds, its example is the code; and what runs before a commit."""

from __future__ import annotations

import re
from pathlib import Path

from pre_commit.clientlib import load_config
from pre_commit.commands.validate_config import validate_config

from ganvas.kinds import KINDS
from ganvas.registry.bases import contract_of

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / ".github" / "CONTRIBUTING.md").read_text(encoding="utf-8")


def test_the_table_of_kinds() -> None:
    """Every kind with its folder, its base class, what it is given, and at least what its contract leaves abstract."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in TEXT.splitlines() if line.count("|") == 6]
    assert rows[0] == ["kind", "folder", "base class", "given", "must offer"]
    found = {row[0]: row[1:] for row in rows[2:]}
    assert list(found) == list(KINDS)
    for kind in KINDS.values():
        contract = contract_of(kind.name)
        folder, base, given, offers = found[kind.name]
        assert (folder, base) == (f"`{kind.plural}`", f"`{contract.__name__}`")
        assert tuple(re.findall(r"`(\w+)`", given)) == kind.given
        offered = set(re.findall(r"`(\w+)", offers))
        abstract = {name for name, thing in vars(contract).items() if getattr(thing, "__isabstractmethod__", False)}
        assert abstract <= offered
        annotated = {name for name in vars(contract).get("__annotations__", {}) if not hasattr(contract, name)}
        assert offered - abstract <= annotated | {"penalty", "constrain"}


def test_the_docstring_it_shows_is_the_code() -> None:
    shown = re.search(r"```python\n(.*?)```", TEXT, flags=re.S)
    assert shown is not None
    assert shown[1] in (ROOT / "plugins" / "ganvas_plugins" / "regularizers" / "r1.py").read_text(encoding="utf-8")


def test_the_folders_it_names() -> None:
    house = TEXT.partition("## The house")[2].partition("\n\nArrows")[0]
    for folder in re.findall(r"^\| `([\w/]+)` \|", house, flags=re.M):
        assert (ROOT / folder).is_dir()


def test_what_runs_before_a_commit() -> None:
    """pre-commit's own check of the file; the hooks are the linters of ``.ci/run``, and fetch nothing."""
    config = ROOT / ".pre-commit-config.yaml"
    assert validate_config([str(config)]) == 0
    (local,) = load_config(str(config))["repos"]
    assert local["repo"] == "local"
    assert {hook["language"] for hook in local["hooks"]} <= {"system", "unsupported"}  # newer versions' word for it
    assert not any(hook["pass_filenames"] for hook in local["hooks"])
    script = (ROOT / ".ci" / "run").read_text()
    linters = script.partition('echo "== lint, types, architecture"\n')[2].partition("\n\n")[0].splitlines()
    assert [hook["entry"] for hook in local["hooks"]] == linters
    assert " && ".join(linters) in TEXT
