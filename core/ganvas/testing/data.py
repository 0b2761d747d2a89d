"""Conformance of data sets and conditions."""

from __future__ import annotations

import pickle
from typing import Any

import torch
from torch import Tensor

from ganvas.kinds.data import Data, MissingData, to_float
from ganvas.testing.probes import hidden, options_stay, seeded_states
from ganvas.testing.suite import Broken, Case, Subject, Suite, skip

__all__ = ["suite"]

suite = Suite("dataset", "condition")
FEW = 64  # samples of a data set that are looked at
TYPES = {"uint8": torch.uint8, "int64": torch.int64, "float32": torch.float32}


def dataset(subject: Subject, case: Case) -> Any:
    """The data set, which can be looked into."""
    made = subject.build(case)
    len(made)  # raises MissingData where they are not there, and the check is skipped
    return made


# -- data sets ---------------------------------------------------------------------------------------------------------


@suite.check(
    "a sample has the fields that `fields` says, with their shapes, types and ranges",
    "fields and __getitem__ have to agree",
    "__getitem__",
    kinds=("dataset",),
)
def samples_are_what_fields_says(subject: Subject, case: Case) -> None:
    whole = dataset(subject, case)
    for source, made in whole.sources.items():
        name = f"source {source!r}: " if source else ""
        if len(made) < 1:
            raise Broken(f"{name}it has {len(made)} samples")
        fields = made.fields
        if "images" not in fields:
            raise Broken(f"{name}its fields are {', '.join(fields)}; there are no images")
        for index in {0, len(made) // 2, len(made) - 1}:
            sample = made[index]
            if set(sample) != set(fields):
                raise Broken(f"{name}sample {index} has {sorted(sample)}, fields says {sorted(fields)}")
            for key, value in sample.items():
                said = fields[key]
                if tuple(value.shape) != tuple(said.shape) or value.dtype != TYPES[said.dtype]:
                    came = f"{value.dtype} {tuple(value.shape)}"
                    raise Broken(
                        f"{name}{key} of sample {index} is {came}, fields says {said.dtype} {tuple(said.shape)}"
                    )
                if said.range is not None and not (said.range[0] <= value.min() and value.max() <= said.range[1]):
                    came = f"[{value.min().item():g}, {value.max().item():g}]"
                    raise Broken(f"{name}{key} of sample {index} lies in {came}, fields says {said.range}")


@suite.check(
    "tensors(), where it fits in memory, holds what __getitem__ gives, in the same order",
    "tensors",
    "tensors",
    kinds=("dataset",),
)
def tensors_are_the_samples(subject: Subject, case: Case) -> None:
    for made in dataset(subject, case).sources.values():
        tensors = made.tensors()
        if tensors is None:
            skip("it is not held in memory")
        if set(tensors) != set(made.fields) or any(len(value) != len(made) for value in tensors.values()):
            raise Broken(f"tensors() has { ({k: len(v) for k, v in tensors.items()}) } for {len(made)} samples")
        for index in range(0, len(made), max(1, len(made) // FEW)):
            for name, value in made[index].items():
                if not torch.equal(value, tensors[name][index]):
                    raise Broken(f"{name} of sample {index} is another in tensors()")


@suite.check(
    "classes and attributes name the labels and the attributes, in order",
    "classes",
    "classes",
    kinds=("dataset",),
)
def its_classes_are_named(subject: Subject, case: Case) -> None:
    made = next(iter(dataset(subject, case).sources.values()))
    for name, names in (("labels", made.classes), ("attributes", made.attributes)):
        if name not in made.fields:
            if names:
                raise Broken(f"{len(names)} {name} are named, but there is no field {name!r}")
            continue
        if len(set(names)) != len(names) or not names:
            raise Broken(f"the names {list(names)[:5]} are not one per class")
        largest = max(int(made[index][name].max()) for index in range(min(FEW, len(made))))
        if name == "labels" and largest >= len(names):
            raise Broken(f"a label is {largest}, but there are {len(names)} classes")
        if name == "attributes" and made.fields[name].shape != (len(names),):
            raise Broken(f"attributes of shape {made.fields[name].shape} for {len(names)} names")


@suite.check(
    "fingerprint is a digest of the content: text, the same for the same data, whoever asks",
    "times, paths, id() or hash() in it",
    "fingerprint",
    kinds=("dataset",),
)
def its_fingerprint_stays(subject: Subject, case: Case) -> None:
    first, second = dataset(subject, case).fingerprint, subject.build(case, seed=1).fingerprint
    if not isinstance(first, str) or not first:
        raise Broken(f"it is {first!r}")
    if first != second:
        raise Broken(f"it is {first} once and {second} then")


@suite.check(
    "reading a sample twice gives the same, and giving it away changes nothing",
    "copies",
    "__getitem__",
    kinds=("dataset",),
)
def samples_stay(subject: Subject, case: Case) -> None:
    for made in dataset(subject, case).sources.values():
        first = {name: value.clone() for name, value in made[0].items()}
        floats = to_float(made[0]["images"], made.fields["images"])
        floats.mul_(0)
        for name, value in made[0].items():
            if not torch.equal(first[name], value):
                raise Broken(f"{name} of sample 0 is another when read again")


@suite.check(
    "it can be sent to worker processes (pickled)",
    "open files, locks, lambdas in attributes",
    "__getitem__",
    kinds=("dataset",),
)
def workers_can_read_it(subject: Subject, case: Case) -> None:
    made = dataset(subject, case)
    copy = pickle.loads(pickle.dumps(made))
    for name, part in made.sources.items():
        for field, value in part[0].items():
            if not torch.equal(value, copy.sources[name][0][field]):
                raise Broken(f"{field} of sample 0 is another in a copy")


@suite.check(
    "augment gives a batch of the same shapes, drawn from rng alone",
    "augment",
    "augment",
    kinds=("dataset",),
)
def augments_keep_the_shape(subject: Subject, case: Case) -> None:
    for made in dataset(subject, case).sources.values():
        if not made.augments:
            skip("it augments nothing")
        batch = next(Data(made).batches(8))
        kept = {name: value.clone() for name, value in batch.items()}
        results = [made.augment(dict(batch), torch.Generator().manual_seed(1)) for _ in range(2)]
        for name, value in kept.items():
            if results[0][name].shape != value.shape:
                raise Broken(f"{name} of shape {tuple(results[0][name].shape)}, before {tuple(value.shape)}")
            if not torch.equal(results[0][name], results[1][name]):
                raise Broken(f"{name} is another under the same rng")
            if not torch.equal(batch[name], value):
                raise Broken(f"{name} of the batch is changed in place")


# -- conditions --------------------------------------------------------------------------------------------------------


def prepared(subject: Subject, case: Case, seed: int = 0) -> tuple[Any, Data]:
    """The condition, with what it fits fitted."""
    data = case.data()
    made = subject.build(case, seed, given=(data,))
    if (prepare := getattr(made, "prepare", None)) is not None:
        prepare(data, torch.Generator(case.device).manual_seed(seed))
    return made, data


def batch(data: Data) -> dict[str, Tensor]:
    return next(data.batches(8))


@suite.check(
    "of(batch) and sample(n, rng) give float rows (N, *shape), or both None, and of(batch) None where observed is "
    "False; segments sum to K",
    "shape, segments, of and sample have to agree",
    "of",
    kinds=("condition",),
)
def rows_have_its_shape(subject: Subject, case: Case) -> None:
    made, data = prepared(subject, case)
    rng = torch.Generator(case.device).manual_seed(1)
    lacking = set(made.needs) - set(data.fields)
    if lacking:
        skip(f"it needs {', '.join(sorted(lacking))}")
    for what, number in (("of(batch)", 8), ("sample(3, rng)", 3), ("sample(1, rng)", 1)):
        rows = made.of(batch(data)) if number == 8 else made.sample(number, rng)
        if made.shape is None or (number == 8 and not made.observed):
            if rows is not None:
                said = "shape is None" if made.shape is None else "observed is False"
                raise Broken(f"its {said}, but {what} gives a tensor")
            continue
        if rows is None or tuple(rows.shape) != (number, *made.shape) or not rows.is_floating_point():
            came = "None" if rows is None else f"{rows.dtype} {tuple(rows.shape)}"
            raise Broken(f"{what} is {came}; float {(number, *made.shape)} was to come")
        if not rows.isfinite().all():
            raise Broken(f"{what} has values that are infinite or no number")
    if made.shape is not None and made.segments:
        sizes = [segment.size for segment in made.segments]
        if sum(sizes) != made.shape[0]:
            raise Broken(f"the segments have sizes {sizes}, the shape is {made.shape}")


@suite.check(
    "a one-hot segment has one 1 and zeros, a binary one zeros and ones",
    "segments, of and sample have to agree",
    "sample",
    kinds=("condition",),
)
def segments_hold_what_they_say(subject: Subject, case: Case) -> None:
    made, data = prepared(subject, case)
    if made.shape is None or not made.segments:
        skip("it has no segments")
    rng = torch.Generator(case.device).manual_seed(1)
    for what, rows in (("of(batch)", made.of(batch(data))), ("sample(n, rng)", made.sample(50, rng))):
        if rows is None:
            continue  # a condition that no real sample has
        start = 0
        for segment in made.segments:
            part = rows[:, start : start + segment.size]
            start += segment.size
            whole = ((part == 0) | (part == 1)).all()
            if segment.kind == "one-hot" and not (whole and (part.sum(1) == 1).all()):
                raise Broken(f"{what} has a row of a one-hot segment that is {part[0].tolist()}")
            if segment.kind == "binary" and not whole:
                raise Broken(f"{what} has a row of a binary segment that is {part[0].tolist()}")


@suite.check(
    "draws come from rng: the same rng gives the same, another gives others, and the global generators are left alone",
    "torch.rand... without generator=rng",
    "sample",
    kinds=("condition",),
)
def draws_come_from_its_rng(subject: Subject, case: Case) -> None:
    made, _ = prepared(subject, case)
    if made.shape is None:
        skip("it draws nothing")
    before = torch.random.get_rng_state()
    rows = [made.sample(64, torch.Generator(case.device).manual_seed(seed)) for seed in (1, 1, 2)]
    if not torch.equal(before, torch.random.get_rng_state()):
        raise Broken("sample draws from torch's default generator")
    if not torch.equal(rows[0], rows[1]):
        raise Broken("two samples under one rng differ")
    if torch.equal(rows[0], rows[2]):
        raise Broken("64 conditions are the same under two seeds of rng")


@suite.check(
    "what it fits in prepare is in its state_dict: a fresh one with that state gives the same rows",
    "fitted values in plain attributes: use register_buffer",
    "prepare",
    kinds=("condition",),
)
def its_state_says_everything(subject: Subject, case: Case) -> None:
    made, data = prepared(subject, case)
    other = subject.build(case, 1, given=(case.data(),))
    other.load_state_dict(made.state_dict())
    if made.shape is None:
        skip("it gives no rows")
    rows = [(c.of(batch(data)), c.sample(16, torch.Generator(case.device).manual_seed(1))) for c in (made, other)]
    for what, mine, its in zip(("of(batch)", "sample(n, rng)"), *rows):
        if mine is not None and not torch.equal(mine, its):
            kept = hidden(made)
            raise Broken(f"{what} is another" + (f"; outside the state are {', '.join(kept)}" if kept else ""))


@suite.check(
    "parse takes a class's number (or its name), or as many numbers as the condition has, and gives one row",
    "parse",
    "parse",
    kinds=("condition",),
)
def words_become_rows(subject: Subject, case: Case) -> None:
    made, _ = prepared(subject, case)
    if made.shape is None:
        skip("there is nothing to parse")
    single = [segment.kind for segment in made.segments] == ["one-hot"]
    row = made.parse(0 if single else [0] * made.shape[0])
    if tuple(row.shape) != tuple(made.shape) or not row.is_floating_point():
        raise Broken(f"{row.dtype} of shape {tuple(row.shape)}; float {tuple(made.shape)} was to come")
    try:
        made.parse("no such class or attribute")
    except ValueError as error:
        if not str(error):
            raise Broken("an unknown name gives a ValueError that says nothing") from error
    else:
        raise Broken("an unknown name is taken; a ValueError was to come, which says what there is")


@suite.check("the batch stays as it is", "operations ending in _", "of", kinds=("condition",))
def leaves_its_inputs_alone(subject: Subject, case: Case) -> None:
    made, data = prepared(subject, case)
    given = batch(data)
    kept = {name: value.clone() for name, value in given.items()}
    made.of(given)
    for name, value in kept.items():
        if not torch.equal(given[name], value):
            raise Broken(f"the {name} are changed in place")


# -- both --------------------------------------------------------------------------------------------------------------


def _run(subject: Subject, case: Case) -> Any:
    if subject.kind == "dataset":
        return dataset(subject, case)[0]
    made, data = prepared(subject, case)
    return made.of(batch(data)), made.sample(4, torch.Generator(case.device))


@suite.check(
    "nobody but the engine seeds the global generators (torch's, numpy's, Python's)",
    "manual_seed, numpy.random.seed or random.seed: a data set's own draws need a generator of their own",
    {"condition": "of", "dataset": "__getitem__"},
)
def leaves_the_seeds_alone(subject: Subject, case: Case) -> None:
    seeded_states(lambda: _run(subject, case))


@suite.check("the options stay as they were given", "pop, append or assignments on a list or dict option")
def leaves_its_options_alone(subject: Subject, case: Case) -> None:
    options_stay(subject, lambda: _run(subject, case))


@suite.check(
    "data that are not there raise MissingData when they are first needed, with one line that says what to do",
    "missing, or an error of your own in __len__",
    "missing",
    kinds=("dataset",),
)
def missing_data_are_told(subject: Subject, case: Case) -> None:
    made = subject.build(case)
    said = made.missing()
    if said is None:
        skip("its data are there")
    if "\n" in said.strip() or len(said) < 20:
        raise Broken(f"missing() says {said!r}")
    try:
        len(made)
    except MissingData:
        return
    raise Broken("missing() tells that data are missing, but len() works")
