"""Encoder ``cpc``: predicts the patches below from those above."""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from ganvas import Backbone, Data, Encoder, Terms, gather
from ganvas_plugins.encoders.parts import check_backbone, full_precision

SMALL = 64  # images with a shorter side below this many pixels are cut into fewer patches


@full_precision
def info_nce(predictions: Tensor, targets: Tensor) -> Tensor:
    """-log( exp(p_i . z_i) / sum_j exp(p_i . z_j) ), mean over the M pairs, of (M, F) and (M, F).

    log M minus it bounds the mutual information of prediction and target from below.

    Source: van den Oord, Li & Vinyals, "Representation Learning with Contrastive Predictive Coding", 2018, equation 4.
    """
    return F.cross_entropy(predictions @ targets.T, torch.arange(len(targets), device=targets.device))


class Cpc(Encoder):
    """Contrastive predictive coding: what stands further down in the image is told from what stands elsewhere.

    The image is cut into a grid of overlapping patches; each is encoded by itself, a causal network sums up the rows
    from the top, and linear maps predict the rows below::

        z_ij = f(patch_ij)                         features of the patch in row i, column j
        c_ij = context of z_uv, u <= i             residual convolutions that see no row below
        L = mean_k InfoNCE(W_k c_ij, z_{i+k, j})   k = 1 … ``ahead`` rows further down

    The negatives (``info_nce``) are the patches of the same rows at other places and of other images of the batch.

    Patches overlap by half. By default the grid is the paper's 7x7 (patches of a quarter of the shorter side) for
    images of 64 pixels or more, and 3x3 (of half the side) for smaller ones. What the grid does not cover is cut off
    evenly at the borders. Networks without batch norm suit the method: its statistics tell patches from one another.

    ``objective`` takes one view (N, C, H, W) in [-1, 1]; ``encode`` gives (N, F), the mean of the patches' features.

    Raises:
        ValueError: the patches leave fewer than two rows, or the backbone takes no patches of that size.

    Source: van den Oord, Li & Vinyals, "Representation Learning with Contrastive Predictive Coding", 2018, section 3.3;
    causal convolutions: Hénaff et al., "Data-Efficient Image Recognition with Contrastive Predictive Coding", 2020.
    """

    views: ClassVar[Sequence[str | dict[str, Any]]] = ({"use": "simclr-views", "scale": [0.5, 1.0]},)

    def __init__(
        self,
        backbone: Backbone,
        data: Data,
        *,
        patch: Annotated[
            int | None, Field(ge=2, description="side of a patch in pixels; a half or a quarter of the image's if none")
        ] = None,
        stride: Annotated[
            int | None, Field(ge=1, description="pixels from one patch to the next; half a patch if none")
        ] = None,
        ahead: Annotated[int, Field(ge=1, description="rows ahead that are predicted, as far as there are any")] = 5,
        layers: Annotated[int, Field(ge=1, description="convolutions of the context network")] = 3,
        context: Annotated[
            int | None, Field(gt=0, description="width of the context; that of the features if none")
        ] = None,
    ) -> None:
        super().__init__()
        channels, height, width = data.shape
        side = min(height, width)
        self.patch = patch or max(2, side // (2 if side < SMALL else 4))
        self.stride = stride or self.patch // 2
        if self.patch > side or (rows := (height - self.patch) // self.stride + 1) < 2:
            raise ValueError(
                f"patches of {self.patch} pixels, {self.stride} apart, leave fewer than two rows of an image of "
                f"{height}x{width}; try patch: {max(2, side // 2)} and no stride"
            )
        remedy = "set another patch, or take a backbone for images of any size"
        check_backbone(backbone, (2, channels, self.patch, self.patch), remedy)
        self.backbone = backbone
        self.features = backbone.features
        self.columns = (width - self.patch) // self.stride + 1
        context = context or self.features
        self.context = nn.Sequential(
            nn.Conv2d(self.features, context, 1), *(_Causal(context) for _ in range(layers)), nn.ReLU()
        )
        self.predictors = nn.ModuleList(
            nn.Conv2d(context, self.features, 1, bias=False) for _ in range(min(ahead, rows - 1))
        )
        for predictor in self.predictors:  # scores of the order of one, however wide the features are
            nn.init.normal_(predictor.weight, std=1 / self.features)

    def check_batch(self, size: int) -> None:
        if size * self.columns < 2:
            raise ValueError("one column of patches of one image has no negatives; set batch_size to 2 or more")

    def grid(self, images: Tensor) -> Tensor:
        """(N, C, H, W) -> features of the patches (N, F, rows, columns)."""
        height, width = images.shape[2:]
        top, left = (height - self.patch) % self.stride // 2, (width - self.patch) % self.stride // 2
        patches = images[:, :, top:, left:].unfold(2, self.patch, self.stride).unfold(3, self.patch, self.stride)
        number, _, rows, columns = patches.shape[:4]
        features = self.backbone(patches.permute(0, 2, 3, 1, 4, 5).flatten(0, 2))
        return features.unflatten(0, (number, rows, columns)).permute(0, 3, 1, 2)

    def objective(self, *views: Tensor) -> Terms:
        (view,) = views
        features = self.grid(view)
        self.embeddings = features.mean((2, 3)).detach()
        contexts = self.context(features)
        losses = []
        for ahead, predictor in enumerate(self.predictors, start=1):
            predictions, targets = predictor(contexts[:, :, :-ahead]), features[:, :, ahead:]
            losses.append(info_nce(*(gather(part.movedim(1, 3).flatten(0, 2)) for part in (predictions, targets))))
        return {"info-nce": torch.stack(losses).mean()}

    def encode(self, images: Tensor) -> Tensor:
        return self.grid(images).mean((2, 3))


class _Causal(nn.Module):
    """x + conv(ReLU(x)), 2x3: each place sees its own row and the one above."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(width, width, (2, 3))

    def forward(self, grid: Tensor) -> Tensor:
        return grid + self.convolution(F.pad(F.relu(grid), (1, 1, 1, 0)))
