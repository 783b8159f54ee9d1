"""`agentic eval`: what the worker runs, so it is a process of the worker's code, in the place of this one."""

from __future__ import annotations

import os
import sys

import click


@click.command("eval", add_help_option=False, context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def command(arguments: tuple[str, ...]) -> None:
    """Run a definition on cases and tell how often it succeeds, at what price, and which validator costs most."""
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "tasks.evaluation", *arguments])  # noqa: S606
