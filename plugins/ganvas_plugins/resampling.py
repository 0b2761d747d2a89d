"""Filters that halve and double maps without aliasing."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d

__all__ = ["Filter"]


class Filter(nn.Module):
    """One separable low-pass filter for all channels; beyond the border are zeros.

    With the taps f, normalised to sum 1, along both axes: ``down`` gives y_i = Σ_k f_k x_{2i+k-1}, so (N, C, H, W) ->
    (N, C, H/2, W/2); ``up`` is its transpose times 4, to (N, C, 2H, 2W), and keeps the mean of what does not vary;
    ``same`` filters what was padded by ``padding`` zeros on all sides, and multiplies by ``gain``. [1, 3, 3, 1] is
    StyleGAN2's, [1, 2, 1] bilinear interpolation.

    Source: Karras et al., "Analyzing and Improving the Image Quality of StyleGAN", 2020, section 4 and appendix B;
    Zhang, "Making Convolutional Networks Shift-Invariant Again", 2019.
    """

    def __init__(
        self,
        taps: Sequence[float],
        mode: Literal["same", "up", "down"],
        *,
        padding: int = 1,
        gain: float = 1.0,
    ) -> None:
        super().__init__()
        row = torch.tensor(taps, dtype=torch.float32)
        row = row / row.sum()
        kernel = torch.outer(row, row)[None, None] * (4 if mode == "up" else gain)
        self.register_buffer("kernel", kernel, persistent=False)  # a constant: no checkpoint needs it
        self.mode, self.padding = mode, padding
        self.rest = len(taps) % 2  # an odd filter doubles a side but for its last place

    def forward(self, maps: Tensor) -> Tensor:
        channels = maps.shape[1]
        kernel = self.kernel.to(maps.dtype).expand(channels, -1, -1, -1)
        if self.mode == "up":
            return conv_transpose2d(
                maps, kernel, stride=2, padding=self.padding, output_padding=self.rest, groups=channels
            )
        return conv2d(maps, kernel, stride=2 if self.mode == "down" else 1, padding=self.padding, groups=channels)
