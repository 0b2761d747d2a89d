"""What several regularizers share: which players they act on, and the latents they need."""

from typing import Annotated, Literal

from pydantic import Field

from ganvas import Duel

__all__ = ["Players", "require_latents", "sides_of"]

Players = Annotated[Literal["generator", "discriminator", "both"], Field(description="the players that it acts on")]


def sides_of(players: Players) -> frozenset[Literal["generator", "discriminator"]]:
    """What a regularizer ``joins`` that acts on these players."""
    return frozenset({"generator", "discriminator"} if players == "both" else {players})


def require_latents(duel: Duel, name: str, remedy: str) -> None:
    """Raises ``ValueError`` unless the generator makes its samples from latents; a translator does not.

    Args:
        name: of the regularizer that needs them.
        remedy: what to do instead, the end of the message.
    """
    if getattr(duel.generator, "latents", None) is None:
        raise ValueError(
            f"{name} changes the latents that samples are made from, and {type(duel.generator).__name__} has none; "
            f"{remedy}"
        )
