"""Conformance: whether a component keeps the contract of its kind, as checks that pytest runs one by one.

    import pytest
    from ganvas.testing import conformance

    @pytest.mark.parametrize("check", conformance("loss/my-loss", margin=2.0))
    def test_conformance(check):
        check()

Each check is called with nothing and raises ``ContractBroken``, whose message says what the contract asks, what came
and where to look. What does not apply is skipped with its reason. Networks are tried at several sizes (28x28 grey,
32x48 RGB, a batch of one), with and without a condition, on the CPU and on an accelerator where there is one.
"""

from __future__ import annotations

from typing import Any

from ganvas.testing import data, losses, networks, objectives, stages
from ganvas.testing.suite import Check, ContractBroken, Subject

__all__ = ["Check", "ContractBroken", "conformance"]

SUITES = (networks.suite, losses.suite, objectives.suite, data.suite, stages.suite)


def conformance(component: str | type, /, **options: Any) -> list[Check]:
    """The checks of one component.

    Args:
        component: ``kind/name``, a name that only one kind has, or a class.
        options: its options, as a spec would give them. What is required and is itself a component, or was trained by
            an earlier stage, need not be given: a small double plays it.

    Raises:
        ganvas.registry.bases.BrokenComponent: it cannot be found, or breaks the rules of registration.
        ganvas.registry.documents.Mistakes: an option it does not have, or a value out of its bounds.
    """
    subject = Subject(component, options)
    cases = objectives.cases(subject) if subject.kind in ("regularizer", "augmentation") else subject.cases()
    return [check for suite in SUITES for check in suite.checks(subject, cases)]
