"""What holds for every bundled regularizer, between doubles whose discriminator scores patches."""

import pytest
import torch

from ganvas import Regularizer
from ganvas.registry.plugins import Host
from ganvas.testing.objectives import arena, cases, match, own
from ganvas.testing.suite import Subject

OPTIONS = {"lecam": {"start": 0, "rectified": False}, "consistency": {"method": "icr"}}
HOST = Host()
# A constraint alone has no term.
NAMES = [e.name for e in HOST.entries("regularizer") if HOST.resolve(e).penalty is not Regularizer.penalty]


def terms(subject, case, side, bf16):
    """The terms of the third of three matches, between which the networks grow, and the gradients of their sum."""
    made = arena(subject, case)
    player = made.networks()[side]
    for index in range(3):
        with torch.no_grad():
            for parameter in player.parameters():
                parameter.mul_(1 + index / 10)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            value = own(made).penalty(match(made, side, case, index))
    named = value if isinstance(value, dict) else {"term": value}
    trained = [parameter for parameter in player.parameters() if parameter.requires_grad]
    gradients = torch.autograd.grad(sum(named.values()), trained, allow_unused=True)
    flat = torch.cat([torch.zeros(p.numel()) if g is None else g.flatten() for g, p in zip(gradients, trained)])
    return named, flat


@pytest.mark.parametrize("name", NAMES)
def test_under_bfloat16_terms_and_gradients_are_those_of_float32_but_for_rounding(name):
    subject = Subject(f"regularizer/{name}", OPTIONS.get(name, {}))
    case = cases(subject)[0]
    made = arena(subject, case)
    for side in sorted(own(made).joins):
        (exact, there), (rounded, here) = (terms(subject, case, side, bf16) for bf16 in (False, True))
        for term, value in exact.items():
            assert rounded[term].dtype == torch.float32
            assert rounded[term].item() == pytest.approx(value.item(), rel=0.05)
        assert torch.cosine_similarity(there, here, dim=0) > 0.99
