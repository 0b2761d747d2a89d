"""The command line. Nothing here imports torch before a command needs it."""

from __future__ import annotations

import json
import logging
import os
import shlex
import sys
import traceback
from pathlib import Path
from typing import Annotated, Any

import typer

import ganvas
from ganvas.engine.launch import launch

__all__ = ["main"]

app = typer.Typer(
    name="ganvas",
    help="Train, compare and measure generative adversarial networks from one YAML spec.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Spec = Annotated[str, typer.Argument(help="a spec's file, a stage's folder, or `quickstart`")]
Set = Annotated[list[str] | None, typer.Option("--set", metavar="PATH=VALUE", help="change one value of the spec")]
Runs = Annotated[Path, typer.Option(help="the folder of all runs")]
Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:1, or auto: an accelerator where there is one")]
Json = Annotated[bool, typer.Option("--json", help="one JSON object on standard output")]
RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="a stage's folder, a spec, or an experiment's folder")]
StageOption = Annotated[str | None, typer.Option("--stage", help="which stage; the last otherwise")]
Condition = Annotated[
    str | None, typer.Option("--condition", help="a class's number or name, or a list; drawn otherwise")
]
Seed = Annotated[int | None, typer.Option("--seed", min=0, help="of the draws; the stage's own otherwise")]
SamplerOption = Annotated[
    str | None, typer.Option("--sampler", help="a sampler, such as truncation or '{use: truncation, strength: 0.5}'")
]
Best = Annotated[
    bool, typer.Option("--best", help="with the weights that were best by the spec's metric, not the last")
]
Output = Annotated[Path, typer.Option("-o", help="a .png grid or an .npz file")]


@app.command()
def train(
    spec: Spec,
    set_: Set = None,
    runs: Runs = Path("runs"),
    device: Device = "auto",
    fresh: Annotated[list[str] | None, typer.Option(metavar="STAGE", help="train this stage anew, or `all`")] = None,
    as_json: Json = False,
) -> None:
    """Check a spec, then train what is not trained yet."""
    from ganvas.cli.reporting import ConsoleReporter, final_table
    from ganvas.runs.api import choose_device, read
    from ganvas.runs.experiment import train_experiment

    experiment = read(spec, set_ or ())
    reporter = ConsoleReporter(quiet=as_json)
    if experiment.members and not _follows():
        members = f"its {len(experiment.members)} members are trained by `ganvas sweep {spec}`"
        reporter.say(f"this trains {spec} as it stands; {members}")
    results = train_experiment(experiment, runs, choose_device(device), reporter, fresh or ())
    if _follows():
        return
    if as_json:
        typer.echo(json.dumps({"stages": {name: result.json() for name, result in results.items()}}))
    else:
        final_table(experiment, results, runs)


@app.command()
def check(
    spec: Spec,
    set_: Set = None,
    resolved: Annotated[
        bool, typer.Option("--resolved", help="print the complete spec, every default written out")
    ] = False,
) -> None:
    """Find what is wrong with a spec: every mistake, every data set and weight that is missing."""
    from ganvas.runs.api import read
    from ganvas.runs.checking import check_experiment, check_members
    from ganvas.runs.folders import to_yaml

    experiment = read(spec, set_ or ())
    report = check_experiment(experiment)
    report.missing += [line for line in check_members(experiment) if line not in report.missing]
    for line in experiment.remarks:
        _say(f"note: {line}")
    for line in report.missing:
        _say(f"missing: {line}")
    if resolved:
        typer.echo(to_yaml(experiment.plain()), nl=False)
        return
    for stage, networks in report.parameters.items():
        for network, count in networks.items():
            typer.echo(f"{stage:<16} {network:<20} {count:>12,} parameters")
    for stage in report.unchecked:
        typer.echo(f"{stage:<16} not built: its data or weights are missing")
    found = ["no mistakes"]
    if experiment.members:
        found.append(f"a sweep of {len(experiment.members)}")
    if report.missing:
        found.append(f"{len(report.missing)} missing")
    typer.echo(f"{experiment.shown}: {', '.join(found)}")


@app.command()
def sweep(
    spec: Spec,
    jobs: Annotated[int, typer.Option(min=1, help="how many members are trained at the same time")] = 1,
    list_members: Annotated[bool, typer.Option("--list", help="show the members with their numbers")] = False,
    only: Annotated[int | None, typer.Option(metavar="I", help="train this member, for a scheduler's array")] = None,
    set_: Set = None,
    runs: Runs = Path("runs"),
    device: Device = "auto",
    seconds: Annotated[float, typer.Option(hidden=True, help="between two lines about the progress")] = 60.0,
) -> int:
    """Train every combination of a spec's `sweep:`; what they share is trained once."""
    from ganvas.cli.reporting import ConsoleReporter, final_table
    from ganvas.runs.api import choose_device, read
    from ganvas.runs.experiment import train_experiment
    from ganvas.runs.sweep import devices_of, member_text, members_of, only_member, plan, train_members

    experiment = read(spec, set_ or ())
    if list_members:
        for number, member in enumerate(members_of(experiment)):
            typer.echo(f"{number}  {member_text(experiment, member)}")
        return 0
    if only is not None:
        member = only_member(experiment, spec, only)
        results = train_experiment(member, runs, choose_device(device), ConsoleReporter(seconds=seconds))
        if not _follows():
            final_table(member, results, runs)
        return 0
    if launch().size > 1:
        raise typer.BadParameter(
            "torchrun trains one member in several processes (--only I); without it, --jobs N trains N members at once"
        )
    from ganvas.cli.sweeping import ConsoleDisplay, summary

    devices, display = devices_of(device), ConsoleDisplay()
    members = plan(experiment, spec, set_ or (), runs, display.seconds)
    try:
        with display:
            return train_members(members, jobs, devices, display)
    finally:
        typer.echo("\n".join(summary(members)))
        typer.echo(f"results: ganvas table {spec}")


@app.command()
def table(
    found: Annotated[
        list[str],
        typer.Argument(metavar="RUNS…", help="stages' folders, experiments' folders, specs: with their sweeps"),
    ],
    as_json: Json = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="as a table in Markdown")] = False,
    latex: Annotated[bool, typer.Option("--latex", help="as a table in LaTeX, with booktabs")] = False,
    force: Annotated[bool, typer.Option("--force", help="unlike protocols in columns of their own")] = False,
    set_: Set = None,
    runs: Runs = Path("runs"),
) -> None:
    """Results side by side: the options that differ, then the metrics, mean ± deviation over seeds."""
    from ganvas.cli import tables
    from ganvas.runs.table import gather, tabulate

    if as_json + markdown + latex > 1:
        raise typer.BadParameter("choose one of --json, --markdown and --latex")
    trained, lacking = gather(found, set_ or (), runs)
    made = tabulate(trained, force=force)
    for line in lacking:
        _say(line)
    write = tables.json_text if as_json else tables.markdown if markdown else tables.latex if latex else tables.plain
    typer.echo(write(made))


@app.command()
def compare(
    first: Annotated[str, typer.Argument(metavar="A", help="a stage's folder, a spec, or an experiment's folder")],
    second: Annotated[str, typer.Argument(metavar="B", help="likewise")],
    as_json: Json = False,
    force: Annotated[bool, typer.Option("--force", help="unlike protocols in lines of their own")] = False,
    output: Annotated[
        Path | None, typer.Option("-o", help="a .png of samples from the same latents, A's above B's")
    ] = None,
    number: Annotated[int, typer.Option("-n", min=1, help="how many samples of each")] = 8,
    stage: StageOption = None,
    set_: Set = None,
    runs: Runs = Path("runs"),
    device: Device = "auto",
) -> None:
    """Two runs side by side: the options that differ, the metrics, and by how much they do."""
    from ganvas.cli import tables
    from ganvas.runs import comparison

    if output is not None and output.suffix != ".png":
        raise typer.BadParameter(f"{output} must end in .png")
    found = comparison.compare(*comparison.find_runs((first, second), stage, set_ or (), runs), force=force)
    typer.echo(json.dumps(found.json(), indent=1) if as_json else tables.comparison(found))
    if output is not None:
        from ganvas.cli.pictures import write_picture
        from ganvas.kinds.algorithm import Preview
        from ganvas.runs.finding import samples_of_both

        images, shared = samples_of_both(found.runs, number, device)
        write_picture(Preview(images, number), output)
        _say(f"{number} images of each, from the same {shared}: {output}")


@app.command("runs")
def runs_(runs: Runs = Path("runs"), as_json: Json = False) -> None:
    """What is on disk: every stage, its size, when it was used last and by whom."""
    from ganvas.cli import tables
    from ganvas.runs.listing import stages_on_disk

    found = stages_on_disk(runs)
    typer.echo(json.dumps([one.json() for one in found], indent=1) if as_json else tables.stages(found, runs))


@app.command()
def clean(
    named: Annotated[
        list[str],
        typer.Argument(metavar="RUN…", help="stages' folders, experiments' folders, specs: with their sweeps"),
    ],
    yes: Annotated[bool, typer.Option("--yes", help="remove it; only shown otherwise")] = False,
    set_: Set = None,
    runs: Runs = Path("runs"),
) -> None:
    """What removing runs would free, and who uses them; with --yes they are removed, unless a kept run needs them."""
    from ganvas.cli import tables
    from ganvas.registry.documents import Mistakes
    from ganvas.runs import cleaning

    found = cleaning.plan(named, set_ or (), runs)
    if found.problems:
        typer.echo(tables.cleaning(found.stages, False))
        raise Mistakes(found.problems)
    if yes:
        cleaning.remove(found)
    typer.echo(tables.cleaning(found.stages, yes))


@app.command("list")
def list_(
    kind: Annotated[str | None, typer.Argument(help="only this kind")] = None,
    as_json: Json = False,
) -> None:
    """The components there are."""
    from ganvas.kinds import KINDS
    from ganvas.registry.documents import did_you_mean
    from ganvas.registry.plugins import Host

    if kind is not None and kind not in KINDS:
        raise typer.BadParameter(f"there is no kind {kind!r}{did_you_mean(kind, list(KINDS))}")
    if as_json:
        from ganvas.registry.table import components

        typer.echo(json.dumps(list(components(kind).values()), indent=1, default=str))
        return
    host = Host(Path.cwd())
    last = None
    for entry, summary in host.listed(kind):
        if entry.kind != last:
            typer.echo(f"{'' if last is None else chr(10)}{entry.kind}: {KINDS[entry.kind].summary}")
            last = entry.kind
        typer.echo(f"  {host.name_of(entry):<24} {summary}")


@app.command()
def show(name: Annotated[str, typer.Argument(metavar="KIND/NAME", help="such as loss/hinge")]) -> None:
    """One component: what it does, its options, where it comes from."""
    from ganvas.cli.showing import page

    typer.echo(page(name), nl=False)


@app.command()
def plugins(as_json: Json = False) -> None:
    """Where components come from, and what is broken: every one is imported and checked."""
    from ganvas.registry.plugins import Host

    host = Host(Path.cwd())
    host.examine()
    if as_json:
        typer.echo(json.dumps([record.json() for record in host.plugins], indent=1))
        return
    for record in host.plugins:
        version = f" {record.version}" if record.version else ""
        working = len(record.components)
        number = f"{working} of {record.offered}" if working != record.offered else str(working)
        word = "component" if number == "1" else "components"
        typer.echo(f"{record.name}{version}: {record.status}, {number} {word}, {record.origin}")
        if record.error:
            typer.echo("".join(f"    {line}\n" for line in record.error.splitlines()), nl=False)
    for line in host.clashes():
        typer.echo(line)


@app.command()
def schema(output: Annotated[Path | None, typer.Option("-o", "--output", help="write it to this file")] = None) -> None:
    """The JSON schema of specs, for editors."""
    from ganvas.registry.plugins import Host
    from ganvas.spec.schema import spec_schema

    text = json.dumps(spec_schema(Host(Path.cwd())), indent=1)
    if output is None:
        typer.echo(text)
    else:
        output.write_text(text + "\n", encoding="utf-8")


@app.command()
def new(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="such as loss; `ganvas list` names them")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="of the component, such as my-loss")],
    output: Annotated[Path, typer.Option("-o", metavar="DIR", help="the folder it is written into")] = Path(),
) -> None:
    """Write a plugin package with one component: ready to install, to test and to train with."""
    from ganvas.cli.new import write_package

    package = write_package(kind, name, output)
    home = shlex.quote(str(package.folder))
    typer.echo(f"{package.folder}: the {kind} {name}, its test and its README. Next:")
    for command in (f"pip install -e {home}", f"pytest {home}", *package.commands):
        typer.echo(f"  {command}")


@app.command()
def sample(
    run: RunArgument,
    number: Annotated[int, typer.Option("-n", min=1, help="how many")] = 64,
    condition: Condition = None,
    seed: Seed = None,
    sampler: SamplerOption = None,
    best: Best = False,
    output: Output = Path("samples.png"),
    stage: StageOption = None,
    set_: Set = None,
    runs: Runs = Path("runs"),
    device: Device = "auto",
) -> None:
    """Draw images from a trained stage."""
    import math

    from ganvas.cli.pictures import draw_picture, value
    from ganvas.kinds.algorithm import Preview

    asked = {"condition": value(condition, "--condition"), "seed": seed}
    _explored(
        output,
        *draw_picture(
            *(run, stage, set_ or (), runs, device, output, sampler, best),
            lambda trained, given: Preview(trained.sample(number, **asked, **given), math.ceil(math.sqrt(number))),
        ),
    )


@app.command()
def interpolate(
    run: RunArgument,
    number: Annotated[int, typer.Option("-n", min=1, help="rows, where no samples are named")] = 8,
    start: Annotated[str | None, typer.Option("--from", metavar="I,J,…", help="samples where rows begin")] = None,
    end: Annotated[str | None, typer.Option("--to", metavar="I,J,…", help="samples where they end")] = None,
    to_condition: Annotated[str | None, typer.Option(help="the condition at the end of every row")] = None,
    steps: Annotated[int, typer.Option(help="images per row")] = 9,
    condition: Condition = None,
    seed: Seed = None,
    sampler: SamplerOption = None,
    best: Best = False,
    output: Output = Path("interpolation.png"),
    stage: StageOption = None,
    set_: Set = None,
    runs: Runs = Path("runs"),
    device: Device = "auto",
) -> None:
    """Show the way from one sample to another, a row for each.

    Samples are named by their numbers in the picture of `ganvas sample` with the same seed, condition and sampler: row
    by row, from 0 on. Without names the first ones go to those that follow. With --to-condition and no --to only the
    condition changes.
    """
    from ganvas.cli.pictures import draw_picture, numbers, value

    options: dict[str, Any] = {"condition": value(condition, "--condition"), "seed": seed, "steps": steps}
    options |= {"start": numbers(start, "--from"), "end": numbers(end, "--to")}
    options["to_condition"] = value(to_condition, "--to-condition")
    _explored(
        output,
        *draw_picture(
            *(run, stage, set_ or (), runs, device, output, sampler, best),
            lambda trained, given: trained.interpolate(number, **options, **given),
        ),
    )


@app.command()
def arithmetic(
    run: RunArgument,
    plus: Annotated[
        list[str], typer.Option(metavar="CONCEPT", help="a concept to add, such as 3,7,12; may be given several times")
    ],
    minus: Annotated[list[str] | None, typer.Option(metavar="CONCEPT", help="a concept to subtract")] = None,
    neighbours: Annotated[int, typer.Option(help="images around the result")] = 8,
    noise: Annotated[float, typer.Option(help="how far the neighbours' latents lie from the result's at most")] = 0.25,
    condition: Condition = None,
    seed: Seed = None,
    sampler: SamplerOption = None,
    best: Best = False,
    output: Output = Path("arithmetic.png"),
    stage: StageOption = None,
    set_: Set = None,
    runs: Runs = Path("runs"),
    device: Device = "auto",
) -> None:
    """Add and subtract concepts, the means of a few samples' latents: a - b + c is --plus A --minus B --plus C.

    Samples are named by their numbers in the picture of `ganvas sample` with the same seed, condition and sampler: row
    by row, from 0 on. '{samples: [3, 7], condition: 5, seed: 1}' draws those of a concept under a condition or a seed
    of their own.
    """
    from ganvas.cli.pictures import draw_picture, numbers, value

    options: dict[str, Any] = {"condition": value(condition, "--condition"), "seed": seed}
    added = [numbers(text, "--plus") for text in plus]
    taken = [numbers(text, "--minus") for text in minus or ()]
    options |= {"neighbours": neighbours, "noise": noise}
    _explored(
        output,
        *draw_picture(
            *(run, stage, set_ or (), runs, device, output, sampler, best),
            lambda trained, given: trained.arithmetic(added, taken, **options, **given),
        ),
    )


@app.command()
def traverse(
    run: RunArgument,
    group: Annotated[
        list[str] | None, typer.Option(help="of latents, or `condition`; those of at most 16 axes otherwise")
    ] = None,
    axis: Annotated[list[int] | None, typer.Option(help="of each group, from 0 on; all otherwise")] = None,
    sample: Annotated[int, typer.Option(metavar="I", help="the sample that is moved, by its number")] = 0,
    span: Annotated[
        float | None, typer.Option(help="values go from -span to span; otherwise 4, or as far as there are any")
    ] = None,
    steps: Annotated[int, typer.Option(help="images per row, an odd number")] = 9,
    condition: Condition = None,
    seed: Seed = None,
    sampler: SamplerOption = None,
    best: Best = False,
    output: Output = Path("traversal.png"),
    stage: StageOption = None,
    set_: Set = None,
    runs: Runs = Path("runs"),
    device: Device = "auto",
) -> None:
    """Move one number of a sample's latents or of its condition in each row; the middle column is the sample.

    The sample is named by its number in the picture of `ganvas sample` with the same seed, condition and sampler: row
    by row, from 0 on.
    """
    from ganvas.cli.pictures import draw_picture, value

    options: dict[str, Any] = {"condition": value(condition, "--condition"), "seed": seed, "sample": sample}
    options |= {"span": span, "steps": steps}
    _explored(
        output,
        *draw_picture(
            *(run, stage, set_ or (), runs, device, output, sampler, best),
            lambda trained, given: trained.traverse(group or None, axis or None, **options, **given),
        ),
    )


def _explored(output: Path, name: str, picture: Any, said: str) -> None:
    """Says what the rows of a picture show, where that is said, and where it lies."""
    for number, row in enumerate(picture.rows, 1):
        typer.echo(f"row {number:>{len(str(len(picture.rows)))}}: {row}")
    typer.echo(f"{len(picture.images)} images of {name}: {output}{f' ({said})' if said else ''}")


@app.command()
def evaluate(
    run: RunArgument,
    metric: Annotated[
        list[str] | None, typer.Option(help="a metric, such as fid or '{use: fid, samples: 1000}'")
    ] = None,
    sampler: SamplerOption = None,
    best: Best = False,
    stage: StageOption = None,
    set_: Set = None,
    runs: Runs = Path("runs"),
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """The metrics of a trained stage: named ones are measured, else what was measured is shown.

    With a sampler it draws the samples; with a sampler or --best the metrics are those of the stage's spec, unless some
    are named.
    """
    from ganvas.cli.reporting import metric_lines
    from ganvas.runs.finding import evaluate_run

    name, metrics = evaluate_run(run, stage, metric or (), set_ or (), runs, device, _say, sampler, best=best)
    if as_json:
        typer.echo(json.dumps(metrics))
        return
    lines = metric_lines(metrics)
    typer.echo("\n".join(lines) if lines else f"{name}: nothing was measured; name a metric with --metric")


def _say(message: str) -> None:
    typer.echo(message, err=True)


def main() -> None:
    """Runs the command line; every expected failure is one clear message and a distinct exit status."""
    logging.basicConfig(format="%(message)s", level=logging.INFO if os.environ.get("GANVAS_DEBUG") else logging.WARNING)
    logging.getLogger("ganvas").setLevel(logging.INFO)
    sys.exit(_guarded())


def _guarded() -> int:
    from ganvas.registry.bases import BrokenComponent
    from ganvas.registry.documents import Mistakes

    try:
        if _follows() and sys.argv[1:2] not in (["train"], ["sweep"]):
            return 0  # rank 0 does it
        status = app(standalone_mode=False)
        return status if isinstance(status, int) else 0
    except typer.Abort:
        return 130
    except typer.Exit as error:
        return error.exit_code
    except _ClickException as error:
        if not _follows():
            error.show()
        return 2
    except (Mistakes, BrokenComponent) as error:
        return _fail(str(error), 2)
    except KeyboardInterrupt:
        return _fail("stopped", 130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        return _fail(*_explained(error))


# Newer versions of typer carry a copy of click, whose exceptions are not those of an installed click.
_ClickException: Any = next(base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException")


def _follows() -> bool:
    """Whether another process of the same training shows what is to be shown."""
    return launch().rank > 0


def _fail(message: str, status: int) -> int:
    if message and launch().size > 1:
        from ganvas.engine.parallel import world

        message = message if world().speaks(message) else ""
        message = f"rank {world().rank}: {message}" if message and status != 75 and _follows() else message
    if message:
        typer.echo(message, err=True)
    if os.environ.get("GANVAS_DEBUG"):
        traceback.print_exc()
    return status


def _explained(error: Exception) -> tuple[str, int]:
    """Message and exit status of what training may end with."""
    import signal

    import torch

    from ganvas.engine.errors import BrokenState, NonFinite, RankLost, ResourceError, Stopped
    from ganvas.kinds.data import MissingData

    if isinstance(error, NonFinite):
        return str(error), 3
    if isinstance(error, Stopped):
        status = 130 if error.signal == signal.SIGINT else 75
        return f"stopped by {error}; the same command goes on from there", status
    if isinstance(error, RankLost):
        return f"{error}; the same command goes on from there" if str(error) else "", 75
    if isinstance(error, MissingData | ResourceError | BrokenState):
        return str(error), 4
    out_of_memory = isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)
    if out_of_memory:
        return f"out of memory: {str(error).splitlines()[0]}; a smaller batch_size needs less", 4
    said = f"{type(error).__name__}: {error}"
    trace = "".join(traceback.format_exception(error))
    return f"{trace}internal error ({said}). This is a bug of ganvas {ganvas.__version__} or of a plugin", 1
