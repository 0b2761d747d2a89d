"""What a training shows while it runs."""

from __future__ import annotations

import pytest

from ganvas.cli.reporting import ConsoleReporter
from ganvas.engine.training import Progress

LOSSES = {"loss/generator.adversarial": 0.512, "penalty/r1": 0.25, "scores/real": 3.0}


@pytest.mark.parametrize(
    ("finding", "shown"),
    [
        ("", "generator.adversarial 0.512  r1 0.25"),
        (
            "diversity fell by 57% since 10k images: collapse?",
            "diversity fell by 57% since 10k images: collapse?  generator.adversarial 0.512  r1 0.25",
        ),
    ],
)
def test_what_is_wrong_stands_before_the_losses(finding: str, shown: str, capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress(steps=20, index=10, scalars=LOSSES, finding=finding)
    with ConsoleReporter(quiet=True).stage("gan", progress):
        pass
    assert capsys.readouterr().err == f"gan: 10/20, 0 s, {shown}\n"
