"""The Python interface: ``ganvas.train``, ``load``, ``check``, ``components``, ``build``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from ganvas.engine.errors import ResourceError
from ganvas.engine.parallel import world
from ganvas.registry.documents import Mistakes, Node, Place
from ganvas.registry.plugins import Host
from ganvas.registry.table import components
from ganvas.runs.checking import Report, check_experiment
from ganvas.runs.experiment import Reporter, train_experiment
from ganvas.runs.folders import StageFolder, last_stages
from ganvas.runs.loading import Run
from ganvas.spec.build import Builder
from ganvas.spec.experiment import Experiment, load_experiment
from ganvas.spec.source import quickstart
from ganvas.spec.validate import Validator

__all__ = ["build", "check", "choose_device", "components", "find_spec", "load", "train"]


def train(
    spec: str | Path,
    overrides: Mapping[str, Any] | None = None,
    runs: str | Path = "runs",
    device: str = "auto",
    fresh: Sequence[str] = (),
) -> Run:
    """Checks a spec, trains what is not trained yet, and opens the result.

    Args:
        spec: a spec's file, a stage's folder, or ``quickstart``.
        overrides: dotted path -> value, as ``--set`` on the command line.
        runs: the folder of all runs.
        device: ``cpu``, ``cuda``, ``cuda:1``, or ``auto``: an accelerator where there is one.
        fresh: stages to train anew, or ``["all"]``.

    Raises:
        ganvas.registry.documents.Mistakes: everything that is wrong with the spec.
    """
    experiment = read(spec, overrides=overrides)
    chosen = choose_device(device)
    results = train_experiment(experiment, Path(runs), chosen, Reporter(), fresh)
    return Run({name: result.folder for name, result in results.items()}, chosen)


def check(spec: str | Path, overrides: Mapping[str, Any] | None = None) -> Report:
    """Validates a spec and builds every network without memory. Raises ``Mistakes``."""
    return check_experiment(read(spec, overrides=overrides))


def load(run: str | Path, device: str = "cpu", *, best: bool = False) -> Run:
    """Opens what was trained: an experiment's folder, or one stage's. Raises ``ResourceError``.

    Args:
        best: the weights that were best by the metric which ``evaluate: {best: …}`` names, instead of the last ones.
    """
    folder = Path(run)
    if stages := last_stages(folder):
        return Run({name: place.resolve() for name, place in stages.items()}, choose_device(device), best=best)
    opened = StageFolder.open(folder)
    if opened.record.get("stage"):
        return Run({opened.record["stage"]: folder.resolve()}, choose_device(device), best=best)
    raise ResourceError(
        f"{folder} is neither an experiment's folder (with a last.json) nor a stage's (with a stage.json)"
    )


def build(kind: str, spec: str | Mapping[str, Any], *given: Any, seed: int = 0) -> Any:
    """Builds one component outside a spec.

    Args:
        kind: ``loss``, ``generator``, …
        spec: a name, or a mapping with ``use`` and options.
        given: the positionals of its kind: ``build("generator", "dcgan", (1, 32, 32), (10,))``.
        seed: of its initial weights.

    Raises:
        ganvas.registry.documents.Mistakes: unknown names or options, values out of bounds.
    """
    validator = Validator(Host(Path.cwd()))
    component = validator.component(Node.of(spec, Place("build"), Path.cwd()), kind, kind)
    if validator.problems or component is None:
        raise Mistakes(validator.problems)
    return Builder(seed).build(component, *given)


def find_spec(spec: str | Path) -> Path:
    """The file that a user's word for a spec means: a file, a stage's folder, or ``quickstart``."""
    path = Path(spec)
    if str(spec) == "quickstart" and not path.exists():
        return quickstart()
    if path.is_dir() and (path / "spec.yaml").is_file():
        return path / "spec.yaml"
    return path


def read(spec: str | Path, settings: Sequence[str] = (), overrides: Mapping[str, Any] | None = None) -> Experiment:
    """Reads and checks a spec."""
    path = find_spec(spec)
    shown = str(path) if str(spec) != "quickstart" else "quickstart"
    return load_experiment(path, settings, overrides, shown)


def choose_device(name: str) -> torch.device:
    """``auto`` is an accelerator where there is one; several processes of one machine take one each.

    Raises ``ResourceError`` for one that is not there.
    """
    here = world()
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ResourceError(f"there is no device called {name!r}; write cpu, cuda or cuda:1") from None
    if device.type == "cuda":
        if not torch.cuda.is_available():
            raise ResourceError("no CUDA device is available here; use --device cpu")
        if here.local_size > 1 and device.index is not None:
            raise ResourceError(f"{here.local_size} processes cannot share {name}; use --device cuda, one for each")
        if device.index is None and here.local_size > 1:
            device, name = torch.device("cuda", here.local_rank), f"cuda:{here.local_rank}"
        if (device.index or 0) >= torch.cuda.device_count():
            raise ResourceError(f"there is no {name}: this machine has {torch.cuda.device_count()} CUDA devices")
        device = torch.device("cuda", device.index or 0)
    return device
