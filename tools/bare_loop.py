"""A hand-written GAN loop with every technique that ganvas uses, and nothing else: the yardstick of its overhead.

Same networks, loss, optimizer and data as the spec that ``bench_overhead.py`` trains: uint8 images resident on the
device, a permutation per epoch, no gradients in the discriminator's fakes, the discriminator frozen in the generator's
step, fused Adam, channels-last weights, an averaged generator, memory that is kept, scalars kept as tensors and read
every 20 iterations.
"""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.nn import functional

from ganvas.engine.memory import keep_freed_memory

__all__ = ["train"]


def train(
    generator: nn.Module,
    discriminator: nn.Module,
    images: torch.Tensor,
    steps: int,
    batch: int,
    log_every: int = 20,
    *,
    discriminator_steps: int = 1,
    bf16: bool = False,
) -> list[float]:
    """Trains with the hinge loss for ``steps`` iterations; returns the last logged means."""
    keep_freed_memory()
    for network in (generator, discriminator):
        if network.channels_last:
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    theirs, ours = list(discriminator.parameters()), list(generator.parameters())
    optimizer_d = torch.optim.Adam(theirs, lr=2e-4, betas=(0.5, 0.999), fused=True)
    optimizer_g = torch.optim.Adam(ours, lr=2e-4, betas=(0.5, 0.999), fused=True)
    averaged = copy.deepcopy(generator).requires_grad_(False)
    mean = [parameter.detach() for parameter in averaged.parameters()]
    live = [parameter.detach() for parameter in ours]
    decay = 0.5 ** (batch / 1000)
    pending: list[torch.Tensor] = []
    logged: list[float] = []
    order = torch.empty(0, dtype=torch.int64)
    position = 0
    for step in range(steps):
        for parameter in theirs:
            parameter.requires_grad_(True)
        for parameter in ours:
            parameter.requires_grad_(False)
        for _ in range(discriminator_steps):
            if position + batch > len(order):
                order, position = torch.randperm(len(images)), 0
            real = images[order[position : position + batch]].float().mul_(2 / 255).sub_(1)
            position += batch
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                with torch.no_grad():
                    fake = generator(torch.randn(batch, generator.latents.size), None)  # type: ignore[union-attr]
                scores_fake, scores_real = discriminator(fake).scores.float(), discriminator(real).scores.float()
                loss_d = functional.relu(1 - scores_real).mean() + functional.relu(1 + scores_fake).mean()
            loss_d.backward()
            optimizer_d.step()
            optimizer_d.zero_grad(set_to_none=True)

        for parameter in theirs:
            parameter.requires_grad_(False)
        for parameter in ours:
            parameter.requires_grad_(True)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            fake = generator(torch.randn(batch, generator.latents.size), None)  # type: ignore[union-attr]
            loss_g = -discriminator(fake).scores.float().mean()
        loss_g.backward()
        optimizer_g.step()
        optimizer_g.zero_grad(set_to_none=True)
        torch._foreach_lerp_(mean, live, 1 - decay)

        pending += [loss_d.detach(), loss_g.detach(), scores_real.detach().mean(), scores_fake.detach().mean()]
        if (step + 1) % log_every == 0:
            logged = torch.stack(pending).view(-1, 4).mean(0).tolist()
            pending.clear()
    return logged
