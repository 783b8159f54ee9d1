"""The `agentic` command. A subcommand's module, and what it needs, is imported only when that subcommand runs."""

from __future__ import annotations

import importlib
import sys

import click

COMMANDS: dict[str, tuple[str, str]] = {
    "up": ("service.commands.up", "Start everything here: database, migrations, API and one worker."),
    "run": ("service.commands.run", "Start an execution over the API, follow it, print its result."),
    "cancel": ("service.commands.cancel", "Cancel an execution over the API."),
    "serve": ("service.commands.serve", "Serve the REST API."),
    "migrate": ("service.commands.migrate", "Bring the database to the newest revision."),
    "doctor": ("service.commands.doctor", "Tell what is configured, reachable and missing, and what mends it."),
    "check": ("service.commands.check", "Load every installed definition and say what is wrong with it."),
    "eval": ("service.commands.evaluate", "Run a definition on cases; tell how often it succeeds, and at what price."),
    "psql": ("service.commands.psql", "Open psql on the database."),
    "account": ("service.commands.account", "Create and change service accounts."),
    "data-set": ("service.commands.data_set", "Create data sets with their products."),
    "agent": ("service.commands.agent", "Create agents."),
    "limits": ("service.commands.limits", "Limits and shares of accounts, agents and providers."),
}


class LazyGroup(click.Group):
    """A group that knows its subcommands' names and one-line helps without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(COMMANDS[cmd_name][0]).command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="agentic-executions")
def agentic() -> None:
    """Run and look after agentic executions: jobs that a model proposes, validators judge and a loop corrects."""


def main() -> None:
    """The console script: errors that their reader can mend are one line and exit status 2, never a traceback."""
    from service.errors import ServiceError

    try:
        agentic.main(standalone_mode=True)
    except ServiceError as error:
        click.echo(f"agentic: {error.detail}", err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
