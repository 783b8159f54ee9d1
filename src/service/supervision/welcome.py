"""What `agentic up` shows once everything runs: the sample on the first start, what to open and paste always."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

import click
import httpx

from service.database import Database
from service.settings import Settings
from service.supervision.access_file import Access, read_access, write_access
from service.supervision.first_start import SHEET, make_sample, renew_token, sheet_bytes
from service.supervision.sample_run import show_sample_run


def welcome(settings: Settings, url: str, directory: Path, pause: Callable[[], None]) -> None:
    """Make the sample if there is none, see that the token works, and say what to do next."""
    path = directory / "cli.json"
    access = read_access(path)
    is_first = access is None
    access = asyncio.run(_make(settings, url)) if access is None else _moved(access, url)
    with _client(access) as client:
        if client.get("/api/agentic-executions/").status_code == 401:
            access = asyncio.run(_renew(settings, access))
            client.headers["Authorization"] = f"Token {access.token}"
        write_access(path, access)
        (directory / SHEET).write_bytes(sheet_bytes())
        if is_first:
            click.echo("")
            _show_sample(client, access, pause)
    click.echo(_next_steps(access, path, Path(sys.executable).with_name("agentic")))


def _show_sample(client: httpx.Client, access: Access, pause: Callable[[], None]) -> None:
    try:
        show_sample_run(client, access, pause)
    except httpx.HTTPError as error:
        click.echo(f"The sample execution could not be followed: {error}")


def _client(access: Access) -> httpx.Client:
    return httpx.Client(base_url=access.url, headers={"Authorization": f"Token {access.token}"}, timeout=30)


def _moved(access: Access, url: str) -> Access:
    access.url = url
    return access


async def _make(settings: Settings, url: str) -> Access:
    database = Database(settings, application_name="agentic-up")
    await database.open()
    try:
        async with database.transaction() as connection:
            return await make_sample(connection, url)
    finally:
        await database.close()


async def _renew(settings: Settings, access: Access) -> Access:
    database = Database(settings, application_name="agentic-up")
    await database.open()
    try:
        async with database.transaction() as connection:
            return await renew_token(connection, access)
    finally:
        await database.close()


def _next_steps(access: Access, path: Path, program: Path) -> str:
    command, folder = from_here(program), from_here(path.parent)
    api = f"{access.url}/api"
    return f"""
Open    {api}/docs/   and authorize with   Token {access.token}
Paste   curl -H "Authorization: Token {access.token}" {api}/agents/{access.agent}/agentic-execution-definitions/
        {command} run {access.agent} catalog-enrichment --input '{{"skus": ["SKU-003"]}}' --file {folder / SHEET}
        {command} run {access.echo_agent} echo --input '{{"hello": "world"}}'
        {command} psql --reporting -c 'SELECT id, status, cycles, running_seconds FROM executions ORDER BY id DESC'
        {command} doctor
URL and token stay in {from_here(path)}; logs are {folder}/api.log and {folder}/worker.log.
Ctrl-C stops everything; the data stays.
"""  # noqa: S608 - a command to paste, not a statement to run


def from_here(path: Path) -> Path:
    """Relative where that is shorter to type."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
