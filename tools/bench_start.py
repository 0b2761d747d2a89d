"""How long ganvas takes to answer and to start: commands that import no torch, a check, the first training step.

Each figure is the median over fresh processes, after one that warms the file cache, with Python's own start and torch's
import beside it, which no command that trains can be faster than:

    python tools/bench_start.py [--rounds 5] [--spec experiments/quickstart.yaml]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

FIRST = {
    "name": "first-step",
    "dataset": "digits",
    "stages": {
        "gan": {
            "use": "gan",
            "generator": {"use": "dcgan", "channels": 4, "latent": 8},
            "discriminator": {"use": "dcgan", "channels": 4},
            "steps": 100_000,
            "batch_size": 8,
            "log_every": 1,
        }
    },
}


def run(*command: str) -> float:
    begun = time.perf_counter()
    subprocess.run([sys.executable, *command], check=True, capture_output=True)
    return time.perf_counter() - begun


def first_step(folder: Path) -> float:
    """Seconds from the start of the command to the first line of scalars of a small GAN."""
    runs = Path(tempfile.mkdtemp(dir=folder))
    spec = runs / "spec.yaml"
    spec.write_text(json.dumps(FIRST))
    begun = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "ganvas", "train", str(spec), "--runs", str(runs), "--device", "cpu"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while not any(file.stat().st_size for file in runs.glob("*/*/*/metrics.jsonl")):
            if process.poll() is not None:
                raise SystemExit(f"the training ended with {process.returncode}")
            time.sleep(0.01)
        return time.perf_counter() - begun
    finally:
        process.kill()
        process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--spec", default="experiments/quickstart.yaml")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        timed = {
            "python -c pass": lambda: run("-c", "pass"),
            "python -c 'import torch'": lambda: run("-c", "import torch"),
            "ganvas --help": lambda: run("-m", "ganvas", "--help"),
            "ganvas list": lambda: run("-m", "ganvas", "list"),
            f"ganvas check {asked.spec}": lambda: run("-m", "ganvas", "check", asked.spec),
            "ganvas train, to the first step": lambda: first_step(Path(name)),
        }
        seconds: dict[str, list[float]] = {what: [] for what in timed}
        for turn in range(asked.rounds + 1):
            for what, measure in timed.items():
                spent = measure()
                if turn:  # the first warms the file cache
                    seconds[what].append(spent)
    torch = statistics.median(seconds["python -c 'import torch'"])
    for what, spent in seconds.items():
        middle = statistics.median(spent)
        print(f"{what}: {middle:.2f} s ({min(spent):.2f} to {max(spent):.2f}), {middle / torch:.2f} of torch's import")


if __name__ == "__main__":
    main()
