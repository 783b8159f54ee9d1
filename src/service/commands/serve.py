"""`agentic serve`: the REST API in one process."""

from __future__ import annotations

import logging

import click

from service.commands.arguments import Whole


@click.command("serve")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8000, show_default=True, type=Whole(0, 65535), help="Port to listen on.")
def command(host: str, port: int) -> None:
    """Serve the REST API. Definitions that do not load keep it from starting."""
    from service.commands.target import settings_with_database

    settings = settings_with_database()  # before what is heavy: a mistake in it is told at once

    from service.access_log import RequestIds
    from service.app import create_app
    from service.logs import configure_logging
    from service.server import Server

    configure_logging(settings)
    for handler in logging.getLogger().handlers:
        handler.addFilter(RequestIds())
    Server(create_app(settings), host=host, port=port).serve_forever()
