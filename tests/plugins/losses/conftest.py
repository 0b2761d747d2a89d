"""The smallest game of two players, and what ``ganvas check`` says of a loss."""

import pytest
import torch
from torch import nn

from ganvas import Critique, Discriminator, Duel, Generator, Match, Step
from ganvas.registry.documents import Mistakes
from ganvas.runs.api import read
from ganvas.runs.checking import check_experiment
from ganvas_plugins.regularizers.r1 import R1


class Point(Generator):
    """Always makes the sample θ."""

    def __init__(self):
        super().__init__()
        self.theta = nn.Parameter(torch.zeros(1, dtype=torch.float64))

    def forward(self, latents=None, condition=None):
        return self.theta.view(1, 1, 1, 1)


class Slope(Discriminator):
    """s(x) = ψ x."""

    def __init__(self):
        super().__init__()
        self.psi = nn.Parameter(torch.zeros(1, dtype=torch.float64))

    def forward(self, samples, condition=None):
        return Critique(self.psi * samples.flatten(1).squeeze(1))


class Dirac:
    """The Dirac-GAN of Mescheder et al., 2018: data at 0, a fake at θ, scores ψx, each player descending its loss.

    Args:
        penalty: γ of R1; 0 for none.
    """

    def __init__(self, loss, penalty):
        self.players = Point(), Slope()
        self.duel = Duel(
            self.players[1], loss, None, [lambda duel: R1(duel, weight=penalty)] if penalty else [], self.players[0]
        )

    def field(self, place):
        """(θ, ψ) -> their velocities: minus each player's gradient of its own objective."""
        parameters = self.players[0].theta, self.players[1].psi
        velocities = []
        with torch.no_grad():
            for parameter, value in zip(parameters, place, strict=True):
                parameter.fill_(float(value))
        for side, parameter in zip(("generator", "discriminator"), parameters, strict=True):
            terms = self.duel.terms(self.match(side))
            (gradient,) = torch.autograd.grad(sum(terms.values()), parameter)
            velocities.append(-gradient.squeeze())
        return torch.stack(velocities)

    def match(self, side):
        step = Step(
            index=0,
            size=1,
            steps=1,
            device=torch.device("cpu"),
            rng=torch.Generator(),
            draw=lambda source, size: {},
            note_length=lambda: None,
        )
        real = torch.zeros(1, 1, 1, 1, dtype=torch.float64)
        return Match(side, step, self.duel, real=real, fake=lambda: self.players[0]())

    def distances(self, start=(0.6, 0.8), steps=80, size=0.25):
        """(steps + 1,): how far from the equilibrium (0, 0) the players are, by Runge and Kutta's fourth order."""
        place = torch.tensor(start, dtype=torch.float64)
        found = [place.norm()]
        for _ in range(steps):
            one = self.field(place)
            two = self.field(place + size / 2 * one)
            three = self.field(place + size / 2 * two)
            four = self.field(place + size * three)
            place = place + size / 6 * (one + 2 * two + 2 * three + four)
            found.append(place.norm())
        return torch.stack(found)

    def growth(self):
        """The eigenvalues of the field at the equilibrium (2,): real parts say how fast the players part from it."""
        tiny = 1e-6 * torch.eye(2, dtype=torch.float64)
        return torch.linalg.eigvals(torch.stack([self.field(step) / 1e-6 for step in tiny], dim=1))


@pytest.fixture
def dirac():
    return Dirac


@pytest.fixture
def checked(tmp_path, monkeypatch):
    """What ``ganvas check`` says of a plain GAN on digits with these parts; nothing where it is fine."""

    def check(loss, head="linear", condition="none"):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "spec.yaml").write_text(
            "dataset: digits\n"
            "stages:\n"
            "  gan:\n"
            "    use: gan\n"
            "    generator: eigengan\n"
            f"    discriminator: {{use: global, channels: 4, head: {head}}}\n"
            f"    loss: {loss}\n"
            f"    condition: {condition}\n"
            "    steps: 2\n"
        )
        try:
            check_experiment(read("spec.yaml", []))
        except Mistakes as mistakes:
            return str(mistakes).replace(f"{tmp_path.resolve()}/", "")
        return ""

    return check
