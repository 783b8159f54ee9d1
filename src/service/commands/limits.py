"""`agentic limits`: what accounts, agents and providers are held to, straight in the database."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from service.database import Connection
    from service.limits.models import LimitsRecord

SCOPE = click.argument("scope", type=click.Choice(["account", "agent", "provider"]))
JSON = click.option("--json", "as_json", is_flag=True, help="Print the record as REST gives it.")
NAMES = ("max_running", "share", "max_queued", "starts_per_minute", "tokens_per_day", "cost_per_day")
NOW = {
    "max_running": "running",
    "max_queued": "queued",
    "starts_per_minute": "starts",
    "tokens_per_day": "tokens",
    "cost_per_day": "cost",
}


@click.group("limits")
def command() -> None:
    """Limits and shares; they hold from the next start and the next claim."""


@command.command("list")
@JSON
def list_all(as_json: bool) -> None:
    """Everything that is held to something, with what it has now."""
    from service.commands.target import with_connection

    async def read(connection: Connection) -> list[LimitsRecord]:
        from service.limits import store
        from service.limits.models import limits

        return [limits(row) for row in await store.page(connection, limit=10_000, offset=0)]

    for record in with_connection(read):
        _print(record, as_json=as_json)


@command.command("set", short_help="Set limits of an account, an agent or a provider.")
@SCOPE
@click.argument("name")
@click.option("--max-running", type=int, help="Executions side by side.")
@click.option("--share", type=float, help="Of an account: its weight against others, 1 unless set.")
@click.option("--max-queued", type=int, help="Of an account: executions that may wait.")
@click.option("--starts-per-minute", type=int, help="Of an account.")
@click.option("--tokens-per-day", type=int, help="Of an account: after so many nothing more is accepted that day.")
@click.option("--cost-per-day", type=float, help="The same in US dollars.")
@JSON
def change(scope: str, name: str, as_json: bool, **given: float | None) -> None:
    """Set limits of NAME: an account or agent by its id (an account by its name too), a provider by the model's name.

    Limits that are not named stay.
    """
    from service.commands.target import checked, with_connection
    from service.errors import NotFound
    from service.limits import actions
    from service.limits.models import NewLimits

    async def put(connection: Connection) -> LimitsRecord:
        key = await _id_of(connection, scope, name)
        try:
            before = await actions.get(connection, scope, key)
            kept = {limit: getattr(before, limit) for limit in NAMES}
        except NotFound:
            kept = {}
        named = {limit: value for limit, value in given.items() if value is not None}
        return await actions.put(connection, scope, key, checked(NewLimits, **{**kept, **named}))

    _print(with_connection(put), as_json=as_json)


@command.command("clear", short_help="Hold an account, an agent or a provider to nothing.")
@SCOPE
@click.argument("name")
def clear(scope: str, name: str) -> None:
    """Hold NAME to nothing any more."""
    from service.commands.target import with_connection
    from service.limits import actions

    async def delete(connection: Connection) -> None:
        await actions.delete(connection, scope, await _id_of(connection, scope, name))

    with_connection(delete)


async def _id_of(connection: Connection, scope: str, name: str) -> str:
    """What REST names it by. Raises NotFound for an account that there is not."""
    from service.accounts import actions

    if scope != "account" or (name.isascii() and name.isdigit()):
        return name
    return str((await actions.get_named(connection, name)).id)


def _print(record: LimitsRecord, *, as_json: bool) -> None:
    import msgspec

    from service.commands.target import print_record

    if as_json:
        print_record(msgspec.to_builtins(record), as_json=True)
        return
    set_ones = [_shown(record, limit) for limit in NAMES if getattr(record, limit) is not None]
    click.echo(f"{record.scope} {record.name}: {', '.join(set_ones) or 'nothing'}")


def _shown(record: LimitsRecord, limit: str) -> str:
    now = f" ({getattr(record.now, NOW[limit]):g} now)" if limit in NOW else ""
    return f"{limit.replace('_', '-')} {getattr(record, limit):g}{now}"
