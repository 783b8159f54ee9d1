"""Executions and what happened to them, written as their facts write them."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from tests.service.conftest import World
from tests.tasks.seed import Shop

TELL = """
WITH told AS (
  UPDATE execution_runtime SET next_event = next_event + 1 WHERE execution_id = %(id)s
  RETURNING execution_id, next_event - 1 AS seq, account_id)
INSERT INTO events (execution_id, seq, account_id, kind, data)
SELECT execution_id, seq, account_id, %(kind)s, %(data)s FROM told RETURNING seq
"""
END = """
WITH ended AS (DELETE FROM execution_runtime WHERE execution_id = %(id)s
               RETURNING execution_id, next_event AS seq, account_id),
execution AS (
  UPDATE executions SET status = 'finished', result = '{"a": 1}', finished_at = now(), cycles = 1
   WHERE id = %(id)s)
INSERT INTO events (execution_id, seq, account_id, kind, data)
SELECT execution_id, seq, account_id, 'finished', '{"worker": 1, "epoch": 1}' FROM ended
"""


class Teller:
    """Accepts executions of one account and adds events to them."""

    def __init__(self, connection: psycopg.Connection[Any], world: World, *, account_id: int | None = None) -> None:
        self.connection = connection
        self._shop = Shop(connection, account_id or world.user.id, world.data_set, world.one)

    def accept(self) -> int:
        return self._shop.accept("summary", {"text": "x"})

    def tell(self, execution_id: int, kind: str = "turn_started", **data: object) -> int:
        """The event's sequence."""
        row = self.connection.execute(TELL.encode(), {"id": execution_id, "kind": kind, "data": Jsonb(data)}).fetchone()
        assert row is not None
        return int(row[0])

    def finish(self, execution_id: int) -> None:
        self.connection.execute(END.encode(), {"id": execution_id})
