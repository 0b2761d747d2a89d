"""Named tensors that are worth keeping between runs: the judges and statistics of metrics."""

import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from ganvas import cache_folder, write_cached


def cached(name: str, key: Mapping[str, Any], make: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
    """Reads named tensors from the cache folder, or makes them and keeps them there.

    A damaged file is made anew.

    Args:
        name: what they are, for people who look into the folder.
        key: all that they depend on, as JSON.
        make: makes them.
    """
    text = json.dumps(key, sort_keys=True)
    path = cache_folder() / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:20]}.safetensors"
    if path.is_file():
        try:
            return _laid_out(safetensors.torch.load_file(path))
        except (OSError, safetensors.SafetensorError) as error:
            logging.getLogger("ganvas").warning("%s is damaged (%s) and is made anew", path, error)
    tensors = _laid_out(make())
    write_cached(path, safetensors.torch.save(tensors, {"key": text}))
    return tensors


def _laid_out(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copies with plain strides in memory of their own: kernels round differently for other strides and alignments."""
    return {name: value.detach().cpu().clone(memory_format=torch.contiguous_format) for name, value in tensors.items()}
