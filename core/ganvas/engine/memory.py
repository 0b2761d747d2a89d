"""Memory that tensors free stays with the process, where the C library would hand it back each time."""

from __future__ import annotations

import ctypes
import functools
import os
import sys

__all__ = ["keep_freed_memory"]

# From glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
_OWN_SETTINGS = ("MALLOC_MMAP_MAX_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES")


@functools.cache
def keep_freed_memory() -> bool:
    """Lets glibc's allocator keep large blocks, once for the process.

    It maps every block of 32 MB or more anew and unmaps it when it is freed, so that each large activation costs a page
    fault per 4 KiB: the better part of the time of a wide network. Where the environment has settings of its own for
    the allocator, or the C library is another, nothing is changed.

    Returns:
        Whether anything was changed.
    """
    if not sys.platform.startswith("linux") or any(name in os.environ for name in _OWN_SETTINGS):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(_MMAP_MAX, 0) and mallopt(_TRIM_THRESHOLD, 2**31 - 1))
