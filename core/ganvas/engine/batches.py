"""Endless batches whose order is a pure function of (seed, position)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from ganvas.engine.parallel import World
from ganvas.engine.randomness import Randomness
from ganvas.kinds.data import Data, Dataset, MissingData, to_float

__all__ = ["Batches"]


class Batches:
    """Batches of every source of a stage's data.

    In-memory data live on the training device as uint8; what does not fit is fed by workers. The state is one number
    per source and batch size: how many samples were consumed. Where several processes train, a batch is that of all of
    them, each of which gets its share, in the order of the ranks: the state does not depend on how many they are.

    Args:
        size: of a batch of all processes.
    """

    def __init__(
        self, data: Data, size: int, randomness: Randomness, device: torch.device, world: World | None = None
    ) -> None:
        self.world = world or World()
        self.size = size // self.world.size
        self.randomness = randomness
        self.device = device
        self.sources = data.sources
        self._streams: dict[tuple[str, int], _Stream] = {}
        self._resident: dict[str, dict[str, Tensor] | None] = {}
        for name, dataset in self.sources.items():
            if len(dataset) == 0:
                raise MissingData(f"the dataset{f' {name!r}' if name else ''} is empty")
            whole = dataset.tensors()
            self._resident[name] = (
                None if whole is None else {field: values.to(device) for field, values in whole.items()}
            )

    def draw(self, source: str | None = None, size: int | None = None) -> dict[str, Tensor]:
        """The next batch of a source; of every source, with names like ``a.images``, where none is named.

        Args:
            size: of the share of this process.
        """
        size = size or self.size
        if source is not None or "" in self.sources:
            return self._stream(source or "", size).next()
        return {
            f"{name}.{field}": values
            for name in self.sources
            for field, values in self._stream(name, size).next().items()
        }

    def first(self, size: int) -> dict[str, Tensor]:
        """The first samples in their own order, the same each time, for pictures."""
        found: dict[str, Tensor] = {}
        for name, dataset in self.sources.items():
            resident = self._resident[name]
            count = min(size, len(dataset))
            # Evenly spread, because many datasets are sorted by class.
            index = torch.arange(count) * (len(dataset) // count)
            batch = (
                {field: values[index.to(self.device)] for field, values in resident.items()}
                if resident is not None
                else _stacked([dataset[int(i)] for i in index])
            )
            batch["index"] = index.to(self.device)
            for field, values in _ready(batch, dataset, self.device).items():
                found[f"{name}.{field}" if name else field] = values
        return found

    def _stream(self, source: str, size: int) -> _Stream:
        key = (source, size)
        if key not in self._streams:
            if source not in self.sources:
                raise KeyError(f"the dataset has no source {source!r}, only {', '.join(self.sources)}")
            self._streams[key] = _Stream(
                self.sources[source], source, size, self.randomness, self.device, self._resident[source], self.world
            )
        return self._streams[key]

    def state(self) -> dict[str, Any]:
        return {"positions": [[source, s.whole, s.position] for (source, _), s in self._streams.items()]}

    def load(self, state: Mapping[str, Any]) -> None:
        for source, size, position in state["positions"]:
            if size % self.world.size == 0:  # a draw of another size, by as many processes as there were
                self._stream(source, size // self.world.size).position = position

    def close(self) -> None:
        for stream in self._streams.values():
            stream.loader = None


class _Stream:
    """One source at one batch size."""

    def __init__(
        self,
        dataset: Dataset,
        source: str,
        size: int,
        randomness: Randomness,
        device: torch.device,
        resident: dict[str, Tensor] | None,
        world: World,
    ) -> None:
        self.dataset = dataset
        self.source = source
        self.size = size
        self.whole = size * world.size
        self.before = size * world.rank
        self.beside = world.local_size
        self.randomness = randomness
        self.device = device
        self.resident = resident
        self.position = 0
        self.loader: Iterator[Any] | None = None
        self._epoch = -1
        self._order = torch.empty(0, dtype=torch.int64)
        self._augments = dataset.augments
        self._images = [(name, spec) for name, spec in dataset.fields.items() if len(spec.shape) >= 3]
        self._rng = torch.Generator(device=device)

    def next(self) -> dict[str, Tensor]:
        if self.resident is not None:
            index = self._indices(self.position + self.before, self.device)
            batch = {field: values.index_select(0, index) for field, values in self.resident.items()}
            batch["index"] = index
        else:
            if self.loader is None:
                self.loader = self._load()
            batch = next(self.loader)
            if isinstance(batch, MissingData):
                raise batch
            batch = {name: values.to(self.device, non_blocking=True) for name, values in batch.items()}
        for name, spec in self._images:
            batch[name] = to_float(batch[name], spec)
        if self._augments:
            self._rng.manual_seed(self.randomness.own("data", self.source, self.whole, self.position) >> 1)
            batch = self.dataset.augment(batch, self._rng)
        self.position += self.whole
        return batch

    def _indices(self, position: int, device: torch.device) -> Tensor:
        """Which samples stand at [position, position + size): whole permutations one after another."""
        epoch, start = divmod(position, len(self.dataset))
        order = self._permutation(epoch, device)
        index = order[start : start + self.size]
        while len(index) < self.size:
            epoch += 1
            index = torch.cat([index, self._permutation(epoch, device)[: self.size - len(index)]])
        return index

    def _permutation(self, epoch: int, device: torch.device) -> Tensor:
        if epoch != self._epoch:
            generator = torch.Generator().manual_seed(self.randomness.number("order", self.source, epoch) >> 1)
            self._order = torch.randperm(len(self.dataset), generator=generator).to(device)
            self._epoch = epoch
        return self._order

    def _load(self) -> Iterator[Any]:
        cpu = torch.device("cpu")

        def positions() -> Iterator[list[int]]:
            position = self.position + self.before
            while True:
                yield self._indices(position, cpu).tolist()
                position += self.whole

        workers = min(4, max(1, (os.cpu_count() or 2) // 2 // self.beside))
        return iter(
            DataLoader(
                _Reader(self.dataset),  # type: ignore[arg-type]
                batch_sampler=_Endless(positions),  # type: ignore[arg-type]
                num_workers=workers,
                collate_fn=_collate,
                pin_memory=self.device.type == "cuda",
                generator=torch.Generator().manual_seed(0),
            )
        )


class _Endless:
    def __init__(self, make: Any) -> None:
        self.make = make

    def __iter__(self) -> Iterator[list[int]]:
        return self.make()


class _Reader:
    """Reads in a worker; an unreadable file comes back as a value, because a raised one arrives with a traceback."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset

    def __getitem__(self, index: int) -> Any:
        try:
            return {**self.dataset[index], "index": torch.tensor(index)}
        except MissingData as error:
            return str(error)


def _collate(items: list[Any]) -> Any:
    for item in items:
        if isinstance(item, str):
            return MissingData(item)
    return _stacked(items)


def _stacked(items: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    return {field: torch.stack([item[field] for item in items]) for field in items[0]}


def _ready(batch: dict[str, Tensor], dataset: Dataset, device: torch.device) -> dict[str, Tensor]:
    """On the device, images as float in [-1, 1]."""
    fields = dataset.fields
    return {
        name: to_float(values.to(device, non_blocking=True), fields[name]) if name in fields else values.to(device)
        for name, values in batch.items()
    }
