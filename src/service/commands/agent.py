"""`agentic agent`: agents, made straight in the database."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from service.agents.models import AgentRecord


@click.group("agent")
def command() -> None:
    """Create agents."""


@command.command("create")
@click.option("--type", "agent_type", required=True, help="Its definitions are those of this agent type.")
@click.option("--name", required=True, help="A name for people.")
@click.option("--data-set", "data_set", required=True, type=int, help="The data set that it works on.")
@click.option("--file-upload", is_flag=True, help="It takes files.")
@click.option(
    "--model", help="Such as local:smollm2 or openai:gpt-5-mini; default: the definition's, then AGENTIC_MODEL."
)
@click.option(
    "--fields", "fields_file", type=click.File("rb"), help="A JSON Schema of the details that its products get."
)
@click.option("--json", "as_json", is_flag=True, help="Print the record as REST gives it.")
def create(
    agent_type: str,
    name: str,
    data_set: int,
    file_upload: bool,
    model: str | None,
    fields_file: IO[bytes] | None,
    as_json: bool,
) -> None:
    """Create an agent. A type without definitions is allowed and lists none; a note on stderr says so."""
    import msgspec

    from service.agents import actions
    from service.agents.models import NewAgent
    from service.commands.target import LOCAL_ADMIN, checked, print_record, with_connection

    fields = {
        "name": name,
        "agent_type": agent_type,
        "data_set": data_set,
        "file_upload": file_upload,
        "model": model,
        "field_schema": None if fields_file is None else _read(fields_file),
    }
    new = checked(NewAgent, **fields)
    record = with_connection(actions.create, LOCAL_ADMIN, new)
    for note in _notes(record):
        click.echo(f"note: {note}", err=True)
    if as_json:
        print_record(msgspec.to_builtins(record), as_json=True)
    else:
        click.echo(f"agent {record.id} {record.name!r}: type {record.agent_type}, data set {record.data_set}")


def _notes(agent: AgentRecord) -> Iterator[str]:
    """What will keep the agent from running as things are here; no mistakes, because both may come later."""
    from service.definitions.registry import sources
    from service.settings import Settings

    types = sorted({definition.agent_type for source in sources() for definition in source.definitions})
    if agent.agent_type not in types:
        yield f"no definition here is for agents of type {agent.agent_type!r}; there are: {', '.join(types)}"
    if agent.model is not None and not Settings.read().profiles.knows(agent.model):
        yield f"the model {agent.model!r} is no KIND:MODEL, such as openai:gpt-5-mini, and no profile here"


def _read(file: IO[bytes]) -> Any:
    import msgspec

    try:
        return msgspec.json.decode(file.read())
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise click.BadParameter(f"{file.name} is no JSON: {error}", param_hint="--fields") from error
