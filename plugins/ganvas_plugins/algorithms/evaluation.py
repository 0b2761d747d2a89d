"""``evaluation``: measures what an earlier stage trained, or a folder of images; trains nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from ganvas import Algorithm, Data, Incidental, Metric, Preview, Sampler, Stage, Trained, Update, Use
from ganvas.kinds.data import evenly
from ganvas_plugins.datasets.image_folder import ImageFolder


class Evaluation(Algorithm):
    """Measures what an earlier stage trained, a finished stage's folder, or a folder of anybody's images.

    The numbers come to be as those of a stage that is measured by itself: the real images are those of this stage's
    ``dataset``, and a trained stage is asked for samples under this stage's seed, by its own ``sampler`` if it is given
    one. So a stage can be measured on other data, or with a sampler, and its numbers stand beside it in every table.

    Of a folder the images are the samples, spread evenly over it where a metric asks for fewer. They must have the
    size of the data's, unless ``fit`` says how they get it. How they were drawn nobody knows: in the protocol
    ``average`` is nothing then.

    Raises:
        ValueError: the folder's images have another size than the data's and ``fit`` does not say what to do.

    Source: none; it is ganvas' own.
    """

    example = {
        "stages.measured": ...,
        "stages.measured.of": "gan",
        "stages.measured.metrics": ["diversity"],
    }
    steps = 0

    def __init__(
        self,
        data: Data,
        *,
        of: Annotated[
            Trained[Algorithm] | Path, Field(description="a stage, a finished stage's folder, or a folder of images")
        ],
        metrics: Annotated[list[Use[Metric]], Incidental, Field(description="what is measured")],
        sampler: Annotated[Use[Sampler] | None, Field(description="what draws the samples; the stage itself")] = None,
        fit: Annotated[
            Literal["crop", "pad", "stretch"] | None,
            Field(description="how the images of a folder get the data's size; none where they have it"),
        ] = None,
    ) -> None:
        super().__init__(data)
        self.of: Any = FolderOfImages(of, data, fit) if isinstance(of, Path) else of
        self.gives = self.of.gives  # type: ignore[misc]  # to samplers; a later stage asks the class, which gives nothing

    def __getattr__(self, name: str) -> Any:
        # What metrics and samplers ask an algorithm for is what the measured one offers.
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name.startswith("_") or "of" not in self.__dict__:
                raise
            return getattr(self.of, name)

    @property
    def holds_average(self) -> bool | None:  # type: ignore[override]
        return self.of.holds_average

    @property
    def needs(self) -> frozenset[str]:
        return self.of.needs

    def networks(self) -> dict[str, nn.Module]:
        return {}

    def updates(self) -> list[Update | tuple[Update, ...]]:
        return []

    def products(self) -> dict[str, nn.Module]:
        return self.of.products()

    def draw(self, number: int, condition: Tensor | None, rng: torch.Generator) -> tuple[Tensor, Tensor | None]:
        return self.of.draw(number, condition, rng)

    def portrait(self, stage: Stage) -> dict[str, Preview]:
        """``samples``: what was measured, the first of it."""
        if not hasattr(self, "sample"):
            return {}
        return {"samples": Preview(stage.sample(min(_SHOWN, getattr(self.of, "number", _SHOWN))))}


class FolderOfImages:
    """The images of a folder as if a stage had drawn them.

    Attributes:
        number: of images.
    """

    condition = None
    gives: ClassVar[Mapping[str, type]] = {}
    holds_average = None
    needs = frozenset({"images"})

    def __init__(self, folder: Path, data: Data, fit: Literal["crop", "pad", "stretch"] | None) -> None:
        channels, height, width = data.shape
        if channels not in (1, 3):
            raise ValueError(f"a folder of images has 1 or 3 channels, and these data have {channels}")
        given: Any = {} if fit is None else {"size": (height, width), "fit": fit}
        images = ImageFolder(root=folder, channels=channels, **given)
        self.number = len(images)
        if (found := images.fields["images"].shape[1:]) != (height, width):
            raise ValueError(
                f"the images in {folder.name} are {found[0]}x{found[1]}, the data {height}x{width} (height x width); "
                "give fit: crop, pad or stretch, or a dataset of their size"
            )
        self._images = Data(images, device=data.device)
        self._name = folder.name

    def products(self) -> Mapping[str, nn.Module]:
        return {}

    def sample(self, number: int, condition: Tensor | None = None, rng: torch.Generator | None = None) -> Tensor:
        """(number, C, H, W) in [-1, 1], spread evenly over the folder, in the order of the files' names."""
        if condition is not None:
            raise ValueError(f"the images in {self._name} have no condition")
        if number > self.number:
            raise ValueError(f"there are {self.number} images in {self._name}: give the metric samples: {self.number}")
        chosen = evenly(self.number, number)
        return torch.cat([batch["images"] for batch in self._images.batches(_AT_ONCE, indices=chosen)])


_SHOWN = 64
_AT_ONCE = 256
