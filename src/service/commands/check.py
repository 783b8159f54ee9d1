"""`agentic check`: every installed definition, loaded as the API and the worker would."""

from __future__ import annotations

import sys

import click


@click.command("check")
@click.argument("package", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(package: str | None, as_json: bool) -> None:
    """Load the definitions of all installed packages, or of PACKAGE; exit status 1 when something is wrong."""
    from service.commands.target import print_record
    from service.definitions.check import check

    report = check(package)
    if as_json:
        print_record(report.as_record(), as_json=True)
    else:
        click.echo(report.as_text())
    sys.exit(0 if report.is_ok else 1)
