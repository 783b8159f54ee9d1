"""`agentic eval`: how well a definition does on cases, with a model and a strategy to correct it."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import click
import msgspec

from service.definitions.definition import AnyDefinition
from service.definitions.registry import Registry, Source, sources
from service.errors import ServiceError, SetupError
from service.settings import Settings
from tasks.evaluation.arms import ARMS, arms_named
from tasks.evaluation.campaign import Campaign, code_digest, run_all
from tasks.evaluation.cases import Case, read_cases
from tasks.evaluation.figures import Figures, figures
from tasks.evaluation.report import as_text
from tasks.evaluation.results import Results, RunResult
from tasks.evaluation.running import ModelUnusable

INTERRUPTED = 130


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What was asked for on the command line."""

    definition: str
    cases: Path | None
    models: Sequence[str]
    strategies: str
    seeds: str
    part: str
    only: Sequence[str]
    limit: int | None
    parallel: int
    results: Path | None
    json: Path | None


@click.command("eval", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("definition")
@click.option("--cases", type=click.Path(path_type=Path), help="JSON lines.  [default: the suite beside DEFINITION]")
@click.option(
    "--model", "models", multiple=True, help="May be given several times.  [default: DEFINITION's, then AGENTIC_MODEL]"
)
@click.option(
    "--strategies",
    default="default",
    show_default=True,
    help=f"Compared in pairs; comma-separated of {', '.join(ARMS)}.",
)
@click.option(
    "--seeds", default="1", show_default=True, help="How many a case, or FIRST-LAST, or a list such as 3,5,8."
)
@click.option("--held-out", "part", flag_value="held-out", help="Only cases that were never tuned on.")
@click.option("--tuning", "part", flag_value="tuning", help="Only the others.")
@click.option("--case", "only", multiple=True, help="Only the case of this id; may be given several times.")
@click.option("--limit", type=click.IntRange(1), help="At most this many cases.")
@click.option("--parallel", default=1, show_default=True, type=click.IntRange(1, 64), help="Runs at a time.")
@click.option("--results", type=click.Path(dir_okay=False, path_type=Path), help="Keeps each run; goes on from there.")
@click.option(
    "--json", type=click.Path(dir_okay=False, path_type=Path, allow_dash=True), help="Also as JSON; - for only."
)
def command(part: str | None, **given: object) -> None:
    """Run DEFINITION on cases and tell how often it succeeds, at what price, and which validator costs most.

    Nothing is stored in a database. Exit status 0: every run is done, 2: something is wrong, 130: interrupted.
    """
    wanted = msgspec.convert({**given, "part": part or "all"}, Wanted, dec_hook=lambda kind, value: kind(value))
    evaluate(wanted)


def main() -> None:
    """What `agentic eval` runs: errors that their reader can mend are one line and exit status 2, never a traceback."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's job in the background begins with it ignored
    try:
        command.main(prog_name="agentic eval", standalone_mode=True)
    except ServiceError as error:
        click.echo(f"agentic: {error.detail}", err=True)
        sys.exit(2)


def evaluate(wanted: Wanted) -> None:
    """Run what is wanted and print the figures. Raises ServiceError; exits with 130 when interrupted."""
    settings = Settings.read()
    source, definition = find_definition(wanted.definition)
    cases = asyncio.run(read_cases(wanted.cases or shipped_cases(source), definition, settings))
    models = wanted.models or [name for name in (definition.model, settings.model) if name][:1]
    if not models:
        raise SetupError("Name a model: --model local:smollm2, or set AGENTIC_MODEL.")
    campaign = Campaign(
        definition=definition,
        code=code_digest(source),
        cases=chosen(cases, wanted),
        models=list(dict.fromkeys(models)),
        arms=arms_named(wanted.strategies),
        seeds=seeds_of(wanted.seeds),
    )
    results = Results(wanted.results)
    try:
        _run(campaign, results, settings, wanted.parallel)
    except ModelUnusable as error:
        _print(campaign, results, wanted)
        raise SetupError(f"The model failed: {error} {_kept(campaign, results)}") from error
    except KeyboardInterrupt:
        _print(campaign, results, wanted)
        click.echo(f"agentic: interrupted. {_kept(campaign, results)}", err=True)
        sys.exit(INTERRUPTED)
    finally:
        results.close()
    _print(campaign, results, wanted)


def find_definition(name: str) -> tuple[Source, AnyDefinition]:
    """The installed definition of that key, the newest version, or of key@version. Raises SetupError."""
    registry = Registry.discover()
    key, _, version = name.partition("@")
    found = registry.get(key, int(version)) if version.isdecimal() else registry.latest(key) if not version else None
    if found is None:
        raise SetupError(
            f"No installed package has the definition {name!r}; there are {', '.join(registry.references())}."
        )
    source = next(source for source in sources() if found.reference in {each.reference for each in source.definitions})
    return source, found


def shipped_cases(source: Source) -> Path:
    """The cases that a definition's package ships: evaluation/cases.jsonl beside its code. Raises SetupError."""
    spec = find_spec(source.module)
    path = Path(spec.origin).parent / "evaluation" / "cases.jsonl" if spec is not None and spec.origin else None
    if path is None or not path.is_file():
        raise SetupError(f"{source.label} ships no cases; name a file with --cases.")
    return path


def chosen(cases: Sequence[Case], wanted: Wanted) -> list[Case]:
    """The cases that are wanted. Raises SetupError for an id that there is not, and where none is left."""
    if unknown := [name for name in wanted.only if name not in {case.id for case in cases}]:
        raise SetupError(f"There is no case {unknown[0]!r}.")
    parts = {"held-out": (True,), "tuning": (False,)}.get(wanted.part, (True, False))
    found = [case for case in cases if case.held_out in parts and (not wanted.only or case.id in wanted.only)]
    if not found:
        raise SetupError("No case is left to run.")
    return found[: wanted.limit]


def seeds_of(text: str) -> list[int]:
    """The seeds of "10" (1 to 10), "11-20" or "3,5,8". Raises SetupError for anything else."""
    parts = text.split(",")
    first, dash, last = text.partition("-")
    if dash and first.isdecimal() and last.isdecimal() and 0 < int(first) <= int(last):
        return list(range(int(first), int(last) + 1))
    if all(part.strip().isdecimal() and int(part) > 0 for part in parts):
        return list(dict.fromkeys(map(int, parts))) if len(parts) > 1 else list(range(1, int(text) + 1))
    raise SetupError(f"--seeds {text!r} is no number of seeds, no range such as 11-20 and no list such as 3,5,8.")


def _run(campaign: Campaign, results: Results, settings: Settings, parallel: int) -> None:
    total, done = len(campaign.keys()), len(campaign.done(results))
    with click.progressbar(length=total, label=campaign.definition.key, file=sys.stderr, show_pos=True) as bar:
        bar.update(done)

        def after(run: RunResult) -> None:
            bar.update(1)

        asyncio.run(run_all(campaign, results, settings, parallel=parallel, after=after))


def _print(campaign: Campaign, results: Results, wanted: Wanted) -> None:
    runs = campaign.done(results)
    if not runs:
        return
    found = _figures(campaign, runs)
    if wanted.json is not None:
        text = msgspec.json.format(msgspec.json.encode(found)).decode() + "\n"
        if str(wanted.json) == "-":
            click.echo(text, nl=False)
            return
        wanted.json.write_text(text, encoding="utf-8")
    click.echo(as_text(found))


def _figures(campaign: Campaign, runs: Sequence[RunResult]) -> Figures:
    definition = campaign.definition
    attributes = {case.id: case.attributes for case in campaign.cases}
    return figures(definition.reference, definition.limits.corrections + 1, runs, attributes)


def _kept(campaign: Campaign, results: Results) -> str:
    done, total = len(campaign.done(results)), len(campaign.keys())
    if results.path is None:
        return f"{done} of {total} runs were done; with --results FILE they are kept."
    return f"{done} of {total} runs are kept in {results.path}; the same command goes on from there."
