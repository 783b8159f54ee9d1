"""What a cycle of the correction loop costs beside the model: the real worker and database, a model that takes no time.

    .venv/bin/python benchmarks/loop_overhead.py --runs 50

Each run of catalog-enrichment is rejected four times. A cycle is timed by the database's clock, from the start of its
turn to the start of the next: turn and answer journalled, decoded, judged by all validators, verdicts journalled, the
next prompt formed. Runs follow one another; whatever else the machine does is in these figures. The CPU time of the
worker process, claim and outcome of each run included, is what is left of them on busy cores.
"""

from __future__ import annotations

import os
import statistics
from pathlib import Path

import click
import httpx
import psycopg

from running import database_url, own_folder, script, service

CLAIM = {"answer": {"SKU-001": "Product updated successfully"}}
"""An answer that no tool call bears out: rejected in every cycle."""
CYCLES = """
    SELECT extract(epoch FROM next - started_at) * 1000
    FROM (SELECT started_at, lead(started_at) OVER (PARTITION BY execution_id ORDER BY number) AS next
          FROM turns WHERE execution_id > %s) AS cycles
    WHERE next IS NOT NULL
"""


def run(client: httpx.Client, agent: int) -> int:
    """One execution to its end; its id."""
    body = {"execution_key": "catalog-enrichment", "input": {"skus": ["SKU-001"]}}
    started = client.post(f"/api/agents/{agent}/agentic-executions/", json=body).raise_for_status().json()
    path = f"/api/agentic-executions/{started['id']}/"
    wait = {"Prefer": "wait=30"}  # a poll every few milliseconds would be measured as well
    while (found := client.get(path, headers=wait).json())["status"] not in ("finished", "failed"):
        pass
    if found["failure_code"] != "max_retries_exceeded":
        raise SystemExit(f"a run ended otherwise than it was written: {found}")
    return int(found["id"])


def cpu_seconds(connection: psycopg.Connection[tuple[int]]) -> float:
    """CPU that the worker process has used (Linux)."""
    row = connection.execute("SELECT pid FROM workers ORDER BY lease_until DESC LIMIT 1").fetchone()
    assert row is not None
    fields = Path(f"/proc/{row[0]}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@click.command()
@click.option("--runs", default=50, show_default=True)
@click.option("--port", default=8398, show_default=True)
def main(runs: int, port: int) -> None:
    """Start everything in a folder of its own, measure, stop."""
    with own_folder() as folder, service(folder, port, model=script(folder, *[CLAIM] * 4)) as access:
        headers = {"Authorization": f"Token {access.token}"}
        with httpx.Client(base_url=access.url, headers=headers, timeout=60) as client:
            first = run(client, access.agent)  # the first run imports and prepares: it is not counted
            with psycopg.connect(database_url(folder), autocommit=True) as connection:
                began = cpu_seconds(connection)
                for _ in range(runs):
                    run(client, access.agent)
                spent = cpu_seconds(connection) - began
                took = sorted(float(row[0]) for row in connection.execute(CYCLES, (first,)))
    p90 = statistics.quantiles(took, n=10)[8]
    click.echo(f"{len(took)} cycles: p50 {statistics.median(took):.1f} ms, p90 {p90:.1f} ms, max {took[-1]:.1f} ms")
    click.echo(f"CPU of the worker: {spent / (4 * runs) * 1000:.1f} ms a cycle")


if __name__ == "__main__":
    main()
