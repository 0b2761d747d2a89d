"""``head: minibatch-stddev``."""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import pad

from ganvas import Head, Use
from ganvas_plugins.heads.minibatch import MinibatchHead

EPSILON = 1e-8  # of the variance; keeps the square root's gradient finite


class MinibatchStddev(MinibatchHead):
    """Tells every sample how much the features vary over its batch, so that a generator without variety shows.

    The batch is split into groups of ``group_size``. For each feature and place σ = √(variance over the group + 1e-8);
    the mean of σ over all places and over the features, in ``channels`` blocks of equally many, stands beside the
    features of every sample of the group, at every place, and ``head`` scores both.

    Sample i is in the group i mod M of M = N / ``group_size``. Where the batch does not divide, M is rounded down, and
    some groups have a sample more. A constant group, or a single sample, has σ = 1e-4. Scores are shaped as ``head``
    gives them.

    Raises:
        ValueError: the features cannot be split into ``channels`` blocks.

    Source: Karras et al., "Progressive Growing of GANs for Improved Quality, Stability, and Variation", 2018, section
    3; groups as in Karras et al., "Analyzing and Improving the Image Quality of StyleGAN", 2020.
    """

    def __init__(
        self,
        features: int,
        condition: tuple[int, ...] | None,
        *,
        group_size: Annotated[
            int | None, Field(ge=2, description="samples that are compared with one another; the whole batch if none")
        ] = 4,
        channels: Annotated[int, Field(ge=1, description="statistics of each group, of a block of features each")] = 1,
        head: Annotated[Use[Head], Field(description="what scores features and statistics")] = "linear",
    ) -> None:
        super().__init__()
        if features % channels:
            fitting = max(number for number in range(1, channels) if features % number == 0)
            raise ValueError(
                f"{features} features cannot be split into {channels} blocks of equally many; set channels to {fitting}"
            )
        self.group_size = group_size
        self.channels = channels
        self.wrap(head(features + channels, condition))

    def statistics(self, features: Tensor) -> Tensor:
        return group_deviations(features, self.group_size, self.channels)


def group_deviations(features: Tensor, group_size: int | None, channels: int) -> Tensor:
    """Mean deviations within each sample's group, of ``channels`` blocks of features: (N, F, *S) -> (N, channels)."""
    number, flat = len(features), features.flatten(1)
    groups = max(1, number // (group_size or number))
    size = -(-number // groups)
    # (size, groups, F * places); where the groups are uneven, the last row is filled up with what is not counted.
    grouped = pad(flat, (0, 0, 0, size * groups - number)).unflatten(0, (size, groups))
    counted = (torch.arange(size * groups, device=flat.device) < number).view(size, groups, 1)
    members = counted.sum(0)
    centred = (grouped - grouped.sum(0) / members) * counted
    deviation = (centred.square().sum(0) / members + EPSILON).sqrt()
    return deviation.unflatten(1, (channels, -1)).mean(2).repeat(size, 1)[:number]
