"""Images to files."""

from __future__ import annotations

import math
from pathlib import Path

import numpy
from torch import Tensor
from torchvision.utils import save_image

from ganvas.engine.errors import ResourceError

__all__ = ["write_images"]


def write_images(images: Tensor, path: Path, columns: int | None = None) -> None:
    """Writes (N, C, H, W) in [-1, 1] as a grid (.png), or as uint8 ``images`` (N, H, W, C) (.npz).

    Args:
        columns: of the grid; it is square otherwise.
    """
    images = images.float().cpu().clamp(-1, 1)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".npz":
            pixels = ((images + 1) * 127.5).round().to(dtype=images.dtype).permute(0, 2, 3, 1).numpy()
            numpy.savez_compressed(path, images=pixels.astype(numpy.uint8))
        else:
            save_image(images / 2 + 0.5, path, nrow=columns or math.ceil(math.sqrt(len(images))), padding=1)
    except OSError as error:
        raise ResourceError(f"{path} cannot be written: {error.strerror}") from error
