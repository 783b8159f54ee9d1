"""`agentic doctor`: what is configured, reachable and missing, and the command that mends it."""

from __future__ import annotations

import dataclasses
import sys

import click


@click.command("doctor")
@click.option("--worker", "worker_name", help="Tell only whether this worker is alive: exit status 0 if so.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(worker_name: str | None, as_json: bool) -> None:
    """Look at the configuration, the database, the definitions, the workers and the models; change nothing.

    Exit status 0 when all is well, 1 when something needs mending.
    """
    from service.commands.examinations import Finding, examine, examine_worker
    from service.commands.target import print_record

    findings: list[Finding] = examine() if worker_name is None else [examine_worker(worker_name)]
    if as_json:
        print_record([dataclasses.asdict(finding) for finding in findings], as_json=True)
    else:
        for finding in findings:
            _print(finding)
    sys.exit(1 if any(finding.state == "bad" for finding in findings) else 0)


def _print(finding: object) -> None:
    from service.commands.examinations import Finding

    assert isinstance(finding, Finding)
    mark = {"good": "ok  ", "note": "note", "bad": "BAD "}[finding.state]
    click.echo(f"{mark}  {finding.subject}: {finding.text}")
    for line in finding.mend:
        click.echo(f"      {line}")
