"""Freed memory stays with the process: counted in page faults, which do not depend on how busy a machine is."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

FAULTS = """
import json, resource, torch
from ganvas.engine.memory import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        torch.zeros(12_000_000)  # 48 MB, 11719 pages
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

before = faults()
changed = keep_freed_memory()
faults()  # the heap grows once
print(json.dumps([before, changed, faults()]))
"""


def counted(**environment: str) -> tuple[int, bool, int]:
    given = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    found = subprocess.run(
        [sys.executable, "-c", FAULTS], env=given | environment, capture_output=True, text=True, check=True
    )
    return tuple(json.loads(found.stdout))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the allocator of Linux")
def test_large_blocks_are_not_mapped_anew() -> None:
    before, changed, after = counted()
    if not changed:
        pytest.skip("the C library is not glibc")
    assert after < before / 10


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the allocator of Linux")
def test_settings_of_the_environment_stay() -> None:
    _, changed, _ = counted(MALLOC_MMAP_MAX_="65536")
    assert changed is False
