"""Where bfloat16 is in the hardware, and what is said where it is not."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import ganvas
from ganvas.engine.precision import has_bf16

SPEC = """
dataset: digits
stages:
  gan:
    use: gan
    generator: {use: mlp, widths: [8], latent: 4}
    discriminator: {use: mlp, widths: [8]}
    steps: 2
    batch_size: 8
    precision: PRECISION
"""


@pytest.mark.parametrize(
    ("capabilities", "has"),
    [
        ({"avx2": True, "avx512_f": True, "avx512_bf16": False}, False),
        ({"avx512_bf16": True}, True),
        ({"amx_bf16": True, "avx512_bf16": False}, True),
        ({"neon": True, "bf16": True}, True),
        ({"neon": True}, False),
    ],
)
def test_a_processor_says_it(capabilities: dict[str, bool], has: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert has_bf16(torch.device("cpu")) is has


def test_without_it_one_line_is_said_and_float32_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict, raising=False)
    weights = {}
    for precision in ("float32", "bf16"):
        (tmp_path / "spec.yaml").write_text(SPEC.replace("PRECISION", precision))
        run = ganvas.train(tmp_path / "spec.yaml", runs=tmp_path / "runs", device="cpu")
        weights[precision] = run["gan"].algorithm.state_dict()
    assert caplog.messages == ["gan: this cpu has no bfloat16: precision: bf16 trains in float32 here"]
    for name, value in weights["float32"].items():
        assert torch.equal(value, weights["bf16"][name]), name
