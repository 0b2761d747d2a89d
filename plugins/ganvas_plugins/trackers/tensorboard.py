"""``tracker: tensorboard``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard import summary as summaries

from ganvas import Preview, Tracker, hookimpl
from ganvas.kinds.algorithm import visible
from ganvas.registry.hooks import StageRecord

CHARTS = ("loss", "penalty", "scores", "grad", "metric", "time")


class TensorBoard(Tracker):
    """Scalars, sample grids and the spec for TensorBoard; the x axis is images seen.

    Tags are grouped ``loss/ penalty/ scores/ grad/ metric/ time/``; one layout puts what belongs together in one chart.
    A preview with an embedding is shown by the projector too, with thumbnails.
    A resumed run reopens its log with ``purge_step``, so what came after the checkpoint is not shown twice.
    Source: tensorboard.dev's event format, through ``torch.utils.tensorboard``.
    """

    def __init__(
        self, *, tags: Annotated[int, Field(ge=1, description="how many scalar tags at the most; the first ones")] = 60
    ) -> None:
        self.tags = tags
        self.known: dict[str, None] = {}
        self.writer: SummaryWriter | None = None
        self.laid_out = 0

    @hookimpl
    def ganvas_stage_started(self, stage: StageRecord) -> None:
        # Event files of a run that had not saved anything yet hold nothing that counts.
        purge = stage.resumed_images + 1 if stage.resumed_at else None
        if not stage.resumed_at:
            for old in stage.folder.glob("events.out.tfevents.*"):
                old.unlink()
        self.writer = SummaryWriter(str(stage.folder), purge_step=purge)
        if not stage.resumed_at:
            self.writer.add_text("spec", "\n".join("    " + line for line in stage.spec.splitlines()), 0)

    @hookimpl
    def ganvas_scalars(self, stage: StageRecord, index: int, images: int, scalars: Mapping[str, float]) -> None:
        if self.writer is None:
            return
        for tag, value in scalars.items():
            if tag not in self.known and len(self.known) < self.tags:
                self.known[tag] = None
            if tag in self.known:
                self.writer.add_scalar(tag, value, images)
        if len(self.known) > self.laid_out:
            self.laid_out = len(self.known)
            self.writer.add_custom_scalars(self._layout())
        self.writer.flush()  # a checkpoint may follow, and after a crash there nothing may lack here

    def _layout(self) -> dict[str, dict[str, list[Any]]]:
        """Per group one chart, but one per unit where a group mixes them."""
        layout: dict[str, dict[str, list[Any]]] = {}
        for group in CHARTS:
            tags = [tag for tag in self.known if tag.startswith(f"{group}/")]
            charts: dict[str, list[str]] = {}
            for tag in tags:
                chart = tag.rpartition(".")[0] if "." in tag else (tag if group in ("metric", "time") else group)
                charts.setdefault(chart, []).append(tag)
            if charts:
                layout[group] = {name: ["Multiline", members] for name, members in charts.items()}
        return layout

    @hookimpl
    def ganvas_images(self, stage: StageRecord, index: int, images: int, previews: Mapping[str, Preview]) -> None:
        if self.writer is not None:
            for name, preview in previews.items():
                self.writer.add_image(name, preview.grid(), images)
                if (points := preview.embedding) is not None:
                    self.writer.add_embedding(
                        points.features.float().cpu(), points.labels, thumbnails(points.images), images, name
                    )

    @hookimpl
    def ganvas_stage_finished(self, stage: StageRecord, metrics: Mapping[str, Any]) -> None:
        if self.writer is None:
            return
        numbers = {f"metric/{name}": float(found["value"]) for name, found in metrics.items()}
        options = {
            name: value if isinstance(value, bool | int | float | str) else str(value)
            for name, value in stage.options.items()
        }
        # add_hparams would open a run of its own; the hyperparameters belong to this one.
        for part in summaries.hparams(options, numbers):
            self.writer._get_file_writer().add_summary(part)
        self.writer.close()
        self.writer = None


def thumbnails(images: Tensor, side: int = 32) -> Tensor:
    """(N, C, H, W) in [-1, 1] -> squares of at most ``side`` pixels in [0, 1], with black borders if need be."""
    images = visible(images)
    height, width = images.shape[-2:]
    if (longer := max(height, width)) > side:
        size = max(1, round(height * side / longer)), max(1, round(width * side / longer))
        images = F.interpolate(images, size, mode="bilinear", antialias=True)
        (height, width), longer = size, side
    left, top = (longer - width) // 2, (longer - height) // 2
    return F.pad(images, (left, longer - width - left, top, longer - height - top))
