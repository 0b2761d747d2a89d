"""Contracts of data: ``Dataset``, ``Condition``, and ``Data``, what the other kinds know of a stage's data."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

__all__ = ["Condition", "Data", "DataField", "Dataset", "MissingData", "Segment", "Sources", "evenly"]


class MissingData(Exception):
    """Data or weights that are not there. The message is one line that says what to fetch and where to put it."""


@dataclass(frozen=True)
class DataField:
    """One named tensor of a sample.

    Attributes:
        shape: without the batch; (C, H, W) for images, () for a label.
        dtype: ``uint8``, ``int64`` or ``float32``.
        range: smallest and largest value; uint8 images are (0, 255) and reach networks as float in [-1, 1].
    """

    shape: tuple[int, ...]
    dtype: str = "uint8"
    range: tuple[float, float] | None = (0, 255)


class Dataset(ABC):
    """Where samples come from.

    Building one is cheap: it looks at what is there and reads nothing it need not. Options annotated ``Path`` are not
    part of a run's key (the content's digest is). Data that are not there raise ``MissingData`` when they are first
    needed, not before: a dataset whose fields are fixed can be checked without them.
    """

    @property
    @abstractmethod
    def fields(self) -> Mapping[str, DataField]:
        """name -> shape, dtype and range of one sample: ``images``, ``labels``, ``attributes``, ..."""

    @property
    def classes(self) -> Sequence[str]:
        """Names of the labels, in order; empty where there are none."""
        return ()

    @property
    def attributes(self) -> Sequence[str]:
        """Names of the multi-hot attributes, in order; empty where there are none."""
        return ()

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """A digest of the content, wherever it lies."""

    @property
    def view(self) -> str:
        """What, besides the content, decides which samples there are and how they look: a part, a size."""
        return ""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """One sample by field, shaped and typed as ``fields`` says."""

    def tensors(self) -> dict[str, Tensor] | None:
        """The whole dataset by field, (N, ...), where it fits in memory; None otherwise."""
        return None

    def held_out(self) -> Dataset | None:
        """Samples of the same kind that training does not see: a held-out share, a test split; None without any."""
        return None

    def missing(self) -> str | None:
        """What has to be fetched before training, in one line, or None. Looks only: nothing is downloaded."""
        try:
            len(self)
        except MissingData as error:
            return str(error)
        return None

    @property
    def augments(self) -> bool:
        """Whether ``augment`` does anything."""
        return type(self).augment is not Dataset.augment

    def augment(self, batch: dict[str, Tensor], rng: torch.Generator) -> dict[str, Tensor]:
        """What only reals see while training (flips), on a float batch on the training device."""
        return batch

    @property
    def sources(self) -> Mapping[str, Dataset]:
        """Parts that are drawn from independently, by name; a plain dataset is its own only source."""
        return {"": self}


class Sources(Dataset):
    """Several datasets side by side, each drawn from independently: ``dataset: {a: {use: …}, b: {use: …}}``."""

    def __init__(self, sources: Mapping[str, Dataset]) -> None:
        self._sources = dict(sources)

    @property
    def fields(self) -> Mapping[str, DataField]:
        return next(iter(self._sources.values())).fields

    @property
    def fingerprint(self) -> str:
        return "+".join(f"{name}={part.fingerprint}" for name, part in self._sources.items())

    def __len__(self) -> int:
        return max(len(part) for part in self._sources.values())

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {
            f"{name}.{key}": value
            for name, part in self._sources.items()
            for key, value in part[index % len(part)].items()
        }

    @property
    def sources(self) -> Mapping[str, Dataset]:
        return self._sources


def to_float(values: Tensor, spec: DataField) -> Tensor:
    """Images of any dtype -> float in [-1, 1]; labels stay integers."""
    if len(spec.shape) < 3 or spec.range is None:
        return values
    low, high = spec.range
    # A copy even of what is float already: it may be the dataset's own memory.
    floats = values.to(torch.float32, copy=True)
    if (low, high) == (-1, 1):
        return floats
    return floats.mul_(2 / (high - low)).add_(-1 - 2 * low / (high - low))


class Data:
    """What conditions, algorithms and metrics know of a stage's data.

    It can be made from a dataset, or from what a run's folder says of it (``describe``), without the data: a trained
    stage opens where its data are not.

    Attributes:
        fields: name -> field; with several sources the names are ``source.field``.
        shape: (C, H, W) of the images (of the first source).
        classes, attributes: names of labels and of attributes.
        device: where batches go.
    """

    def __init__(
        self, dataset: Dataset | None, description: Mapping[str, Any] | None = None, device: str | torch.device = "cpu"
    ) -> None:
        self._dataset = dataset
        self.device = torch.device(device)
        if dataset is not None:
            named = dataset.sources
            self.fields = {
                f"{source}.{name}" if source else name: spec
                for source, part in named.items()
                for name, spec in part.fields.items()
            }
            first = next(iter(named.values()))
            self.classes, self.attributes = list(first.classes), list(first.attributes)
            self._fingerprint: str | None = None
        else:
            assert description is not None
            self.fields = {
                name: DataField(tuple(f["shape"]), f["dtype"], f["range"] and tuple(f["range"]))
                for name, f in description["fields"].items()
            }
            self.classes, self.attributes = description["classes"], description["attributes"]
            self._fingerprint = description["fingerprint"]

    def describe(self) -> dict[str, Any]:
        """JSON that makes this object again, without the data."""
        return {
            "fields": {name: asdict(spec) for name, spec in self.fields.items()},
            "classes": list(self.classes),
            "attributes": list(self.attributes),
            "fingerprint": self.fingerprint,
        }

    @property
    def fingerprint(self) -> str:
        if self._fingerprint is None:
            self._fingerprint = self.dataset.fingerprint
        return self._fingerprint

    @property
    def identity(self) -> str:
        """What tells these samples from all others: the key of what is computed from them once and kept."""
        return "+".join(f"{name} {part.fingerprint} {part.view}".strip() for name, part in self.sources.items())

    @property
    def dataset(self) -> Dataset:
        if self._dataset is None:
            raise MissingData("this stage was opened without its data")
        return self._dataset

    @property
    def sources(self) -> Mapping[str, Dataset]:
        return self.dataset.sources

    def attach(self, dataset: Dataset) -> None:
        """Gives the data to a stage that was opened without them."""
        self._dataset = dataset

    def held_out(self) -> Data | None:
        """The samples that training does not see, where the dataset holds some out."""
        held = self.dataset.held_out()
        return None if held is None else Data(held, device=self.device)

    def image_shape(self, source: str = "") -> tuple[int, int, int]:
        """(C, H, W) of a source's images."""
        name = f"{source}.images" if source else next(n for n in self.fields if n.split(".")[-1] == "images")
        channels, height, width = self.fields[name].shape
        return channels, height, width

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.image_shape()

    def __len__(self) -> int:
        return len(next(iter(self.sources.values())))

    def batches(
        self, size: int = 256, source: str = "", limit: int | None = None, indices: Tensor | None = None
    ) -> Iterator[dict[str, Tensor]]:
        """The samples in their order, as float batches on ``device``, for what is computed over all of them.

        Args:
            limit: only the first ones.
            indices: (M,), only these, in this order; the others are not read.
        """
        dataset = self.sources[source]
        number = len(dataset) if indices is None else len(indices)
        number = number if limit is None else min(limit, number)
        whole = dataset.tensors()
        for start in range(0, number, size):
            stop = min(start + size, number)
            chosen = torch.arange(start, stop) if indices is None else indices[start:stop].cpu()
            if whole is not None and indices is None:
                batch = {name: values[start:stop] for name, values in whole.items()}
            elif whole is not None:
                batch = {name: values[chosen.to(values.device)] for name, values in whole.items()}
            else:
                items = [dataset[index] for index in chosen.tolist()]
                batch = {name: torch.stack([item[name] for item in items]) for name in items[0]}
            batch = {name: to_float(values.to(self.device), dataset.fields[name]) for name, values in batch.items()}
            batch["index"] = chosen.to(self.device)
            yield batch


def evenly(total: int, number: int) -> Tensor:
    """(min(number, total),): indices spread evenly over ``total`` samples, in order."""
    return torch.arange(min(number, total), device="cpu") * total // max(1, min(number, total))


@dataclass(frozen=True)
class Segment:
    """One stretch of a condition: ``one-hot`` (a class), ``binary`` (independent attributes) or ``continuous``."""

    kind: Literal["one-hot", "binary", "continuous"]
    size: int


class Condition(nn.Module):
    """Batch -> condition. Built with ``(data)``.

    What it fits in ``prepare(data, rng)`` (centroids, frequencies) is kept in buffers and saved with the stage.

    Attributes:
        shape: of one condition without the batch, usually ``(K,)``; None for no condition.
        needs: fields that the dataset must have.
        names: of the classes or attributes, in order.
        segments: what the numbers mean, in order; their sizes sum to K.
        observed: whether the condition of a real sample is known. Where it is not (InfoGAN's codes), ``of`` gives None
            and the discriminator is not conditioned.
    """

    shape: tuple[int, ...] | None = None
    observed: bool = True
    needs: frozenset[str] = frozenset()
    names: Sequence[str] = ()
    segments: Sequence[Segment] = ()

    @abstractmethod
    def of(self, batch: Mapping[str, Tensor]) -> Tensor | None:
        """The conditions (N, K) of a batch."""

    @abstractmethod
    def sample(self, number: int, rng: torch.Generator) -> Tensor | None:
        """Conditions (number, K) from the prior, on the generator's device."""

    def numbers(self, *kinds: str) -> list[int]:
        """Which of the K numbers belong to segments of the given kinds: ``numbers("continuous")``."""
        found, start = [], 0
        for segment in self.segments:
            found += range(start, start + segment.size) if segment.kind in kinds else ()
            start += segment.size
        return found

    def parse(self, value: Any) -> Tensor:
        """One condition (K,) as a user writes it: a class's number or name, or a list of attributes or numbers."""
        raise ValueError("this stage has no condition")
