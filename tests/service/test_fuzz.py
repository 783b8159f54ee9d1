"""Whatever is sent, nothing is our defect: no 5xx, one shape of errors, and a refused request leaves nothing behind."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.http import row_counts
from tests.service.conftest import Shop

FUZZ = settings(
    max_examples=100, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
TEXT = st.text(st.characters(codec=None), max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=10,
)
LIKELY_INPUT = st.fixed_dictionaries(
    {"text": TEXT | JSON}, optional={"count": JSON, "skus": st.lists(TEXT | JSON, max_size=3), "other": JSON}
)
START = st.fixed_dictionaries(
    {"execution_key": st.sampled_from(["summary", "first", "second"]) | TEXT | JSON},
    optional={"input": LIKELY_INPUT | JSON | TEXT, "inptu": JSON},
)
SEGMENT = TEXT | st.integers().map(str) | st.sampled_from(["agentic-executions", "agents", "conversations", "1", ".."])
METHODS = st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"])


@pytest.fixture(scope="module", autouse=True)
def lines_are_written() -> Iterator[None]:
    """What is logged is made too: a line that cannot be written is a defect like any other."""
    log = logging.getLogger("service")
    before = log.level
    log.setLevel(logging.INFO)
    yield
    log.setLevel(before)


def check(shop: Shop, answer: Any, before: dict[str, int]) -> None:
    assert answer.status_code < 500, answer.text
    if answer.status_code >= 400:
        assert answer.headers["content-type"] == "application/json"
        if answer.request.method != "HEAD":
            assert list(answer.json())[:4] == ["type", "title", "status", "detail"]
        assert row_counts(shop.connection) == before


def encoded(value: object) -> bytes:
    """JSON as careless clients write it: NaN, Infinity, lone surrogates and all."""
    return json.dumps(value).encode()


@FUZZ
@given(body=START, uploads=st.booleans())
@example(body={"execution_key": "summary", "input": {"text": "\ud800"}}, uploads=False)
@example(body={"execution_key": "summary", "input": "\ud800"}, uploads=False)
@example(body={"execution_key": "summary", "\ud800": 1}, uploads=False)
def test_start_when_any_json_comes_then_202_or_4xx(shop: Shop, body: object, uploads: bool) -> None:
    before = row_counts(shop.connection)
    agent = shop.world.uploads if uploads else shop.world.two
    answer = shop.client.post(
        f"/api/agents/{agent}/agentic-executions/",
        content=encoded(body),
        headers={"Content-Type": "application/json"},
    )
    check(shop, answer, before)
    if answer.status_code == 202:
        assert shop.client.get(answer.headers["location"]).json()["input"] == answer.json()["input"]


@FUZZ
@given(
    body=st.binary(max_size=200), media_type=st.sampled_from(["application/json", "multipart/form-data; boundary=x"])
)
def test_start_when_any_bytes_come_then_4xx(shop: Shop, body: bytes, media_type: str) -> None:
    before = row_counts(shop.connection)
    headers = {"Content-Type": media_type}
    path = f"/api/agents/{shop.world.uploads}/agentic-executions/"
    check(shop, shop.client.post(path, content=body, headers=headers), before)


@FUZZ
@given(
    fields=st.dictionaries(
        st.sampled_from(["execution_key", "input", "other"]), st.sampled_from(["summary", '{"text": "a"}']) | TEXT
    ),
    names=st.lists(TEXT | st.sampled_from(["a.txt", "a.pdf", "../a.json"]), max_size=3),
    data=st.binary(max_size=50) | st.sampled_from([b"text", b"{}", b"%PDF-1.7"]),
)
def test_start_when_any_form_comes_then_202_or_4xx(
    shop: Shop, fields: dict[str, str], names: list[str], data: bytes
) -> None:
    before = row_counts(shop.connection)
    parts = [(f'form-data; name="{name}"', value.encode(errors="surrogatepass")) for name, value in fields.items()]
    parts += [(f'form-data; name="files[]"; filename="{name}"', data) for name in names]
    body = b"".join(
        b"--x\r\nContent-Disposition: " + head.encode(errors="surrogatepass") + b"\r\n\r\n" + value + b"\r\n"
        for head, value in parts
    )
    answer = shop.client.post(
        f"/api/agents/{shop.world.uploads}/agentic-executions/",
        content=body + b"--x--\r\n",
        headers={"Content-Type": "multipart/form-data; boundary=x"},
    )
    check(shop, answer, before)


@FUZZ
@given(query=st.dictionaries(st.sampled_from(["page", "status", "agent_id", "dataset_id", "account"]) | TEXT, TEXT))
def test_list_when_any_query_comes_then_200_or_4xx(shop: Shop, query: dict[str, str]) -> None:
    before = row_counts(shop.connection)
    text = "&".join(
        f"{quote(name, errors='surrogatepass')}={quote(value, errors='surrogatepass')}" for name, value in query.items()
    )
    check(shop, shop.client.get(f"/api/agentic-executions/?{text}"), before)


@FUZZ
@example(method="GET", segments=["conversations", "1", "list.txt"], prefix="/media/")
@given(method=METHODS, segments=st.lists(SEGMENT, max_size=5), prefix=st.sampled_from(["/api/", "/media/", "/"]))
def test_any_path_when_any_method_comes_then_no_5xx(shop: Shop, method: str, segments: list[str], prefix: str) -> None:
    before = row_counts(shop.connection)
    path = prefix + "/".join(quote(segment, safe="", errors="surrogatepass") for segment in segments)
    check(shop, shop.client.request(method, path), before)
