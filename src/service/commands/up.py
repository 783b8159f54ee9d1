"""`agentic up`: database, migrations, API and one worker under one supervisor."""

from __future__ import annotations

import click

from service.commands.arguments import Whole


@click.command("up")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address of the API.")
@click.option("--port", default=8000, show_default=True, type=Whole(1, 65535), help="Port of the API.")
@click.option("--model", help="Model of agents that name none.  [default: AGENTIC_MODEL, else local:smollm2]")
def command(host: str, port: int, model: str | None) -> None:
    """Start everything here and keep it running; Ctrl-C stops it in order.

    The first start makes a sample data set, agents and a service account, and shows one sample execution as it runs.
    """
    from service.settings import Settings
    from service.supervision.supervisor import Supervisor

    settings = Settings.read()
    Supervisor(settings, host=host, port=port, model=model or settings.model or "local:smollm2").run()
