"""The client as a distribution of its own, and its README as a reader would paste it."""

from __future__ import annotations

import re
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email import message_from_bytes
from pathlib import Path

import psycopg
import pytest
from hatchling.builders.wheel import WheelBuilder

from tests.architecture.sources import ROOT
from tests.client.conftest import Place
from tests.service.events.conftest import Teller

HOME = ROOT / "clients" / "python"
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def test_wheel_of_the_client_has_the_package_its_types_and_needs_httpx_alone(tmp_path: Path) -> None:
    (wheel,) = WheelBuilder(str(HOME)).build(directory=str(tmp_path), versions=["standard"])
    with zipfile.ZipFile(wheel) as opened:
        names = set(opened.namelist())
        (metadata,) = (message_from_bytes(opened.read(name)) for name in names if name.endswith("METADATA"))
    package = HOME / "src" / "agentic_client"
    assert {f"agentic_client/{path.name}" for path in package.iterdir() if path.is_file()} <= names
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == {"agentic_client"}
    assert metadata.get_all("Requires-Dist") == ["httpx<1,>=0.28"]


@contextmanager
def worker(place: Place) -> Iterator[None]:
    """Finishes every execution a moment after it was accepted."""
    over = threading.Event()

    def work() -> None:
        with psycopg.connect(place.database_url, autocommit=True) as connection:
            teller = Teller(connection, place.world)
            while not over.wait(0.05):
                for (execution_id,) in connection.execute("SELECT execution_id FROM execution_runtime").fetchall():
                    with suppress(psycopg.errors.CheckViolation):  # it was cancelled in this very moment
                        teller.finish(execution_id)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_python_of_the_readme_when_pasted_runs(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AGENTIC_URL", place.served.url)
    monkeypatch.setenv("AGENTIC_TOKEN", place.world.user.token)
    monkeypatch.setenv("AGENT_ID", str(place.world.one))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    pasted = "\n".join(BLOCK.findall((HOME / "README.md").read_text()))
    names: dict[str, object] = {"__name__": "pasted"}
    with worker(place):
        exec(compile(pasted, "README.md", "exec"), names)
    said = capsys.readouterr().out
    assert "{'a': 1}" in said
    assert "finished" in said
    assert callable(names["receive"])
    names["client"].close()  # type: ignore[attr-defined]
