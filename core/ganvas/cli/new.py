"""``ganvas new``: a plugin package around one component, ready to be installed, tested and trained.

What is written are the files of ``templates/``, with the names replaced: a component of each kind, its test, and what
makes a package of them. A kind without a template fails a test.
"""

from __future__ import annotations

import ast
import importlib.util
import keyword
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import ganvas
from ganvas.cli.showing import in_line
from ganvas.kinds import KINDS, placed
from ganvas.registry.documents import Mistakes, Place, Problem, did_you_mean
from ganvas.registry.plugins import Host

__all__ = ["Package", "write_package"]

TEMPLATES = Path(__file__).parent / "templates"
_KEBAB = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


@dataclass(frozen=True)
class Package:
    """The names of a package around one component, all made from the component's own.

    Attributes:
        kind, name: of the component: ``loss``, ``my-loss``.
        folder: where the package is written: ``DIR/my-loss``.
    """

    kind: str
    name: str
    folder: Path

    @property
    def distribution(self) -> str:
        """``ganvas-my-loss``, by which pip and ganvas know it."""
        return f"ganvas-{self.name}"

    @property
    def package(self) -> str:
        """``ganvas_my_loss``, by which Python imports it."""
        return self.distribution.replace("-", "_")

    @property
    def module(self) -> str:
        """``my_loss``, which holds the component."""
        name = self.name.replace("-", "_")
        return f"{name}_" if keyword.iskeyword(name) else name

    @property
    def class_name(self) -> str:
        """``MyLoss``."""
        return "".join(word.capitalize() for word in self.name.split("-"))

    @property
    def component(self) -> str:
        """The file of the component, in the folder."""
        return f"src/{self.package}/{self.module}.py"

    @property
    def commands(self) -> list[str]:
        """What uses the component by its name, in the quickstart."""
        settings = [
            f"--set {shlex.quote(f'{path}={in_line(value)}')}" for path, value in placed(self.kind, self.name).items()
        ]
        train = " ".join(["ganvas train quickstart", *settings])
        return [train, *([f"ganvas sample runs/quickstart --sampler {self.name}"] if self.kind == "sampler" else [])]

    def templates(self) -> dict[str, str]:
        """Path in the folder -> the text that is written there once the names are in it."""
        sources = {
            "pyproject.toml": "pyproject.toml.template",
            "README.md": "README.md.template",
            f"src/{self.package}/__init__.py": "package.py",
            self.component: f"{self.kind}.py",
            f"tests/test_{self.module}.py": f"test_{self.kind}.py",
        }
        return {path: (TEMPLATES / source).read_text(encoding="utf-8") for path, source in sources.items()}

    def files(self) -> dict[str, str]:
        """Path in the folder -> text."""
        templates = self.templates()
        words = {
            "ganvas-template": self.distribution,
            "ganvas_template": self.package,
            "template_module": self.module,
            "template-name": self.name,
            "template-kind": self.kind,
            "template-commands": "\n".join(self.commands),
            "template-summary": _summary(templates[self.component]),
            "template-version": ".".join(ganvas.__version__.split(".")[:2]),
            "Template": self.class_name,
        }
        placeholder = re.compile("|".join(words))
        return {path: placeholder.sub(lambda found: words[found[0]], text) for path, text in templates.items()}


def write_package(kind: str, name: str, into: Path) -> Package:
    """Writes ``into/name``. Raises ``Mistakes`` with everything that is wrong, and then writes nothing."""
    package = Package(kind, name, into / name)
    place = Place(f"ganvas new {kind} {name}")
    if problems := [Problem(place, "", message) for message in _refusals(package)]:
        raise Mistakes(problems)
    for path, text in package.files().items():
        file = package.folder / path
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        except OSError as error:
            raise Mistakes([Problem(place, "", f"{file} cannot be written: {error.strerror}")]) from None
    return package


def _refusals(package: Package) -> Iterator[str]:
    """What speaks against writing it."""
    kind, name = package.kind, package.name
    if kind not in KINDS:
        yield f"there is no kind {kind!r}{did_you_mean(kind, list(KINDS))}"
    if not _KEBAB.fullmatch(name):
        yield f"a component's name is small letters and digits, with '-' between words: {_corrected(kind, name)}"
        return
    if kind not in KINDS:
        return
    if owner := next((entry for entry in Host(Path.cwd()).entries(kind) if entry.name == name), None):
        yield f"the {kind} {name!r} is there already: {owner.plugin}/{name}; choose another name"
    elif importlib.util.find_spec(package.package) is not None:
        yield f"the package {package.package} is there already; choose another name"
    elif package.class_name in _taken(kind):
        yield f"its class would be called {package.class_name}, a name that is taken; choose another, my-{name} say"
    folder = package.folder
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        yield f"{folder} is there already and not empty; name another folder with -o, or remove it"


def _corrected(kind: str, name: str) -> str:
    """The nearest name that will do: ``MyLoss`` -> ``my-loss``."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name)
    kebab = re.sub(r"[^a-z0-9]+", "-", words.lower()).lstrip("-0123456789").rstrip("-")
    return kebab or f"my-{kind}"


def _taken(kind: str) -> set[str]:
    """What a class in the files of this kind cannot be called: names that they use, and Python's own."""
    sources = (TEMPLATES / file for file in (f"{kind}.py", f"test_{kind}.py"))
    nodes = [node for source in sources for node in ast.walk(ast.parse(source.read_text(encoding="utf-8")))]
    used = {node.id for node in nodes if isinstance(node, ast.Name)}
    return used | {node.name for node in nodes if isinstance(node, ast.alias | ast.ClassDef)} | set(keyword.kwlist)


def _summary(source: str) -> str:
    """The first line of the component's docstring."""
    classes = (node for node in ast.parse(source).body if isinstance(node, ast.ClassDef) and node.name == "Template")
    return (ast.get_docstring(next(classes)) or "").partition("\n")[0]
