"""`agentic account`: service accounts, made straight in the database."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from service.commands.arguments import Whole

if TYPE_CHECKING:
    from service.accounts.models import ServiceAccount
    from service.database import Connection

JSON = click.option("--json", "as_json", is_flag=True, help="Print the record as REST gives it.")


@click.group("account")
def command() -> None:
    """Create service accounts, give them a new token, disable them."""


@command.command("create", short_help="Create an account and print its token.")
@click.argument("name")
@click.option("--data-set", "data_sets", multiple=True, type=int, help="A data set that the account may use.")
@click.option("--admin", is_flag=True, help="The account may see and set up everything.")
@JSON
def create(name: str, data_sets: tuple[int, ...], admin: bool, as_json: bool) -> None:
    """Create the service account NAME and print its token, which is shown this once."""
    from service.accounts import actions
    from service.accounts.models import NewServiceAccount
    from service.commands.target import checked, with_connection

    new = checked(NewServiceAccount, name=name, is_admin=admin, data_sets=list(data_sets))
    _print_account(with_connection(actions.create, new), as_json=as_json)


@command.command("reset-token", short_help="Give an account a new token and print it.")
@click.argument("account")
@click.option("--keep-old", default=0, type=Whole(0), help="Seconds for which old tokens stay valid.")
@JSON
def reset_token(account: str, keep_old: int, as_json: bool) -> None:
    """Give ACCOUNT (its id or name) a new token and print it, this once."""
    from service.accounts import actions
    from service.accounts.models import TokenReset
    from service.commands.target import checked, with_connection

    wanted = checked(TokenReset, keep_old_seconds=keep_old)

    async def reset(connection: Connection) -> ServiceAccount:
        account_id = await _id_of(connection, account)
        return await actions.reset_token(connection, account_id, wanted)

    _print_account(with_connection(reset), as_json=as_json)


@command.command("disable", short_help="Make an account's tokens stop working.")
@click.argument("account")
@JSON
def disable(account: str, as_json: bool) -> None:
    """Disable ACCOUNT (its id or name): its tokens stop working within seconds; what it ran stays."""
    from service.accounts import actions
    from service.accounts.models import ServiceAccountChange
    from service.commands.target import with_connection

    async def change(connection: Connection) -> ServiceAccount:
        account_id = await _id_of(connection, account)
        return await actions.change(connection, account_id, ServiceAccountChange(is_active=False))

    _print_account(with_connection(change), as_json=as_json)


async def _id_of(connection: Connection, account: str) -> int:
    """The id of an account given by id or by name. Raises NotFound."""
    from service.accounts import actions

    if account.isascii() and account.isdigit():
        return int(account)
    return (await actions.get_named(connection, account)).id


def _print_account(record: ServiceAccount, *, as_json: bool) -> None:
    import msgspec

    from service.accounts.models import ServiceAccountWithToken
    from service.commands.target import print_record

    if as_json:
        print_record(msgspec.to_builtins(record), as_json=True)
        return
    kind = "admin" if record.is_admin else f"data sets {record.data_sets}"
    state = "active" if record.is_active else "disabled"
    click.echo(f"account {record.id} {record.name!r}: {state}, {kind}")
    if isinstance(record, ServiceAccountWithToken):
        click.echo(f"token (shown this once): {record.token}")
