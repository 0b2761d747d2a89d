"""Named tensors that are worth keeping between runs: the judges and statistics of metrics."""

import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

from ganvas_plugins.datasets.cache import cache_folder, write_atomically


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
            return safetensors.torch.load_file(path)
        except (OSError, safetensors.SafetensorError) as error:
            logging.getLogger("ganvas").warning("%s is damaged (%s) and is made anew", path, error)
    tensors = {entry: value.detach().cpu().contiguous() for entry, value in make().items()}
    write_atomically(path, safetensors.torch.save(tensors, {"key": text}))
    return tensors
