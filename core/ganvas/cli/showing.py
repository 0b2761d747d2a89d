"""``ganvas show``: one component as a page."""

from __future__ import annotations

import inspect
import json
import textwrap
from pathlib import Path
from typing import Any

from ganvas.kinds import KINDS
from ganvas.registry.documents import did_you_mean
from ganvas.registry.plugins import BrokenComponent, Host
from ganvas.registry.signature import Option, options_of
from ganvas.spec.validate import plain_value

__all__ = ["page"]


def page(name: str) -> str:
    """The page of ``kind/name``. Raises ``BrokenComponent``."""
    kind, slash, short = name.partition("/")
    if kind not in KINDS or not slash:
        hint = did_you_mean(kind, list(KINDS))
        raise BrokenComponent(f"write KIND/NAME, such as loss/hinge; there is no kind {kind!r}{hint}")
    host = Host(Path.cwd())
    entry = host.find(kind, short)
    component = host.resolve(entry)
    options = options_of(component)
    lines = [f"{kind}/{entry.name}", "", inspect.getdoc(component) or "(no description)", ""]
    lines.append("Options:" if options else "Options: none")
    for option in options.values():
        lines += _option(option)
    lines += ["", "In a spec:", textwrap.indent(_fragment(kind, entry.name, options), "  ")]
    for attribute in ("needs", "gives", "views"):
        value = getattr(component, attribute, None)
        if value and not isinstance(value, property):
            lines.append(f"{attribute.capitalize()}: {', '.join(str(item) for item in value)}")
    lines.append(f"Plugin: {entry.plugin} ({entry.source})")
    return "\n".join(lines) + "\n"


def _option(option: Option) -> list[str]:
    told = option.json()
    default = "required" if option.required else f"default {json.dumps(plain_value(option.default), default=str)}"
    return [f"  {option.name}: {told['type']}, {default}", textwrap.indent(option.description, "      ")]


def _fragment(kind: str, name: str, options: dict[str, Option]) -> str:
    shown: dict[str, Any] = {"use": name}
    for option in options.values():
        if option.required:
            shown[option.name] = f"<{option.form.describe()}>"
        elif isinstance(option.default, int | float | str) and len(shown) < 4:
            shown[option.name] = option.default
    inner = ", ".join(
        f"{key}: {json.dumps(value) if not isinstance(value, str) else value}" for key, value in shown.items()
    )
    if kind == "algorithm":
        return f"stages:\n  my-stage: {{{inner}, steps: 1000}}"
    return f"{kind}: {name}    # or {{{inner}}}"
