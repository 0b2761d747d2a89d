"""Pictures out of trained stages, to files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy
import typer
from torchvision.utils import save_image

from ganvas.engine.errors import ResourceError
from ganvas.engine.evaluation import TrainedStage
from ganvas.kinds.algorithm import Preview
from ganvas.registry.documents import Mistakes, Place, Problem, parse
from ganvas.runs.finding import find_run, find_sampler

__all__ = ["draw_picture", "numbers", "value", "write_picture"]


def draw_picture(
    run: str,
    stage: str | None,
    settings: Sequence[str],
    runs: Path,
    device: str,
    output: Path,
    sampler: str | None,
    best: bool,
    draw: Callable[[TrainedStage, dict[str, Any]], Preview],
) -> tuple[str, Preview, str]:
    """Opens a stage, draws a picture of it and writes that to ``output``.

    Args:
        run, stage, settings, runs, device, sampler, best: as on the command line.
        draw: the picture of a stage; the mapping holds its ``sampler``.

    Returns:
        The stage's name, the picture, and what the sampler has to say of its draws.

    Raises:
        Mistakes: the file's name ends otherwise, there is no such stage or sampler, or ``draw`` raised ``ValueError``.
    """
    if output.suffix not in (".png", ".npz"):
        raise typer.BadParameter(f"{output} must end in .png or .npz")
    found, name = find_run(run, stage, settings, runs, device, best=best)
    with one_line(run):
        drawing = find_sampler(found, name, sampler) if sampler is not None else None
        picture = draw(found[name], {"sampler": drawing})
    write_picture(picture, output)
    return name, picture, drawing.report() if drawing is not None else ""


@contextmanager
def one_line(where: str):
    """What a stage cannot do, a ``ValueError``, as a mistake of the user's."""
    try:
        yield
    except ValueError as error:
        raise Mistakes([Problem(Place(where), "", str(error))]) from error


def value(text: str | None, option: str) -> Any:
    """The value of an option that is written as in a spec; None where it is not given."""
    return None if text is None else parse(text, option, Path.cwd()).plain


def numbers(text: str | None, option: str) -> Any:
    """The same where ``3,7,12`` is a list."""
    return value(text if text is None or text.startswith(("[", "{")) else f"[{text}]", option)


def write_picture(picture: Preview, path: Path) -> None:
    """Writes a grid (.png), or (.npz) uint8 ``images`` (N, H, W, C), ``columns`` and what the ``rows`` show."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".npz":
            images = picture.images.float().cpu().clamp(-1, 1)
            pixels = ((images + 1) * 127.5).round().permute(0, 2, 3, 1).numpy().astype(numpy.uint8)
            numpy.savez_compressed(path, images=pixels, columns=picture.columns, rows=numpy.array(picture.rows, str))
        else:
            save_image(picture.grid(), path)
    except OSError as error:
        raise ResourceError(f"{path} cannot be written: {error.strerror}") from error
