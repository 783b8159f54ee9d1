"""Log lines for people and collectors: constant event text, then the fields, one line each, on standard error."""

from __future__ import annotations

import logging
import sys
from typing import Any

from service.settings import Settings

KNOWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class FieldFormatter(logging.Formatter):
    """`2026-11-24T10:00:00.000Z INFO service.app started port=8000`, with the traceback below where there is one."""

    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        """The line, with every field that was given as `extra` behind the event text."""
        fields = {key: value for key, value in vars(record).items() if key not in KNOWN}
        line = f"{record.asctime} {record.levelname} {record.name} {record.message}"
        return line + "".join(f" {key}={_plain(value)}" for key, value in fields.items())

    def usesTime(self) -> bool:  # noqa: N802
        """Always: a line without a time is of no use to an operator."""
        return True


def _plain(value: Any) -> str:
    """As it is, or quoted and escaped where it could break the line, forge a field or steer a terminal."""
    text = str(value)
    return repr(text) if not text or not text.isprintable() or any(mark in text for mark in ' "=') else text


def configure_logging(settings: Settings) -> None:
    """Send this process's log lines to standard error at the set level. Libraries that chatter start at WARNING."""
    import time

    handler = logging.StreamHandler(sys.stderr)
    formatter = FieldFormatter()
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler], force=True)
    for name in ("httpx", "httpcore", "openai", "procrastinate", "alembic", "psycopg.pool"):
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLogger().level))
