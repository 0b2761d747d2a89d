"""Keys: a digest of all that changes a stage's trained weights, and of nothing else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ganvas.kinds.options import Scheduled
from ganvas.registry.digest import source_digest
from ganvas.registry.plugins import Host
from ganvas.spec.experiment import DatasetSpec, StageSpec
from ganvas.spec.validate import Component, GroupValue, StageReference

__all__ = ["changes", "key_of", "key_parts", "sources"]

# What the engine's options change in the weights; the others (evaluate, checkpoint, log_every) are not in the key.
TRAINING = ("steps", "batch_size", "optimizers", "ema", "precision", "clip_gradients", "sync_batch_norm")


def key_parts(
    stage: StageSpec, fingerprint: str, deterministic: bool, key_of_reference: Callable[[StageReference], str]
) -> dict[str, str]:
    """What the key hashes: flat path -> value as text, so that two can be compared line by line."""
    parts: dict[str, str] = {}

    def add(value: Any, path: str) -> None:
        match value:
            case Component():
                parts[path or "use"] = value.entry.name
                label, digest = _source_of(value), source_digest(value.cls)
                if parts.setdefault(label, digest) != digest:  # two plugins' components of one name
                    parts[label] = "+".join(sorted({*parts[label].split("+"), digest}))
                for name, inner in value.options.items():
                    # A path is known by its content: that of a dataset has a digest of its own, a file is hashed here.
                    if isinstance(inner, Path) and inner.is_file() and value.kind != "dataset":
                        parts[f"{path}.{name}"] = _file_digest(inner)
                    elif not value.declared[name].incidental:
                        add(inner, f"{path}.{name}" if path else name)
            case GroupValue():
                for name, inner in value.options.items():
                    add(inner, f"{path}.{name}")
            case StageReference(files=Path() as files):
                parts[path] = _folder_digest(files)
            case StageReference():
                parts[path] = f"{key_of_reference(value)}{'.' + value.part if value.part else ''}"
            case Scheduled():
                parts[path] = json.dumps(value.plain())
            case list() | tuple():
                parts[f"{path} (how many)"] = str(len(value))
                for index, inner in enumerate(value):
                    add(inner, f"{path}[{index}]")
            case dict():
                for name, inner in value.items():
                    add(inner, f"{path}.{name}")
            case _:
                parts[path] = json.dumps(value, default=str)

    add(stage.algorithm, "")
    for name in TRAINING:
        add(stage.settings.options.get(name), name)
    if stage.settings.options.get("start") is not None:
        add(stage.settings.options["start"], "start")
    dataset: DatasetSpec = stage.dataset
    add(dataset, "dataset")
    parts["dataset's content"] = fingerprint
    parts["seed"] = str(stage.seed)
    if deterministic:
        parts["deterministic"] = "true"
    return parts


def key_of(parts: Mapping[str, str], *, without: str | None = None) -> str:
    """12 hexadecimal digits."""
    kept = {path: value for path, value in parts.items() if path != without}
    text = json.dumps(kept, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


def _file_digest(file: Path) -> str:
    with open(file, "rb") as content:
        return hashlib.file_digest(content, "blake2b").hexdigest()[:32]


def _folder_digest(folder: Path) -> str:
    """Of the names and contents of all files in it."""
    digest = hashlib.blake2b(digest_size=16)
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(f"{file.relative_to(folder)} {_file_digest(file)}\n".encode())
    return digest.hexdigest()


def sources(stage: StageSpec, host: Host) -> dict[str, str]:
    """Part of the key that stands for a component's code -> in words, whose code that is and where it lies."""
    settings = [stage.settings.options.get(name) for name in TRAINING]
    return {
        _source_of(component): f"{component.kind} {component.name!r}: {host.home_of(component.entry)}"
        for component in _components([stage.algorithm, settings, stage.dataset])
    }


def _source_of(component: Component) -> str:
    return f"source of {component.entry.label}"


def _components(value: Any) -> Iterator[Component]:
    """The components in a value and in their options, however deep."""
    match value:
        case Component() | GroupValue():
            if isinstance(value, Component):
                yield value
            yield from _components(value.options)
        case list() | tuple():
            for inner in value:
                yield from _components(inner)
        case dict():
            yield from _components(list(value.values()))


def changes(old: Mapping[str, str], new: Mapping[str, str], sources: Mapping[str, str]) -> list[str]:
    """What differs between two keys, in words; ``sources`` says where the components' code lies."""
    found = []
    for path in sorted(set(old) | set(new)):
        before, after = old.get(path), new.get(path)
        if before == after:
            continue
        if path in sources and before and after:
            imported = "" if sources[path].endswith(".py") else ", or what it imports,"
            found.append(f"{sources[path]}{imported} changed")
        elif path == "dataset's content":
            found.append("the dataset's content changed")
        elif before is None:
            found.append(f"{path}: {after} (new)")
        elif after is None:
            found.append(f"{path}: {before} (gone)")
        else:
            found.append(f"{path}: {before} -> {after}")
    return found
