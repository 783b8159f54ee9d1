from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.files.download import ResponsePlan, content_disposition, plan_response, protective_headers

ETAG = '"abc"'


def plan(size_bytes: int = 10, method: str = "GET", **headers: str) -> ResponsePlan:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return plan_response(method, named, size_bytes=size_bytes, etag=ETAG)


def test_plan_response_when_nothing_is_asked_then_sends_the_whole_file() -> None:
    headers = {"ETag": ETAG, "Accept-Ranges": "bytes", "Content-Length": "10"}
    assert plan() == ResponsePlan(200, 0, 10, headers)


@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-9", 0, 10),
        ("bytes=3-5", 3, 6),
        ("bytes=3-", 3, 10),
        ("bytes=9-", 9, 10),
        ("bytes=3-5000", 3, 10),
        ("bytes=-1", 9, 10),
        ("bytes=-10", 0, 10),
        ("bytes=-5000", 0, 10),
        ("Bytes = 3 - 5 ", 3, 6),
        ("bytes=0000000000000000003-5", 3, 6),
    ],
)
def test_plan_response_when_a_range_fits_then_sends_that_part(asked: str, start: int, stop: int) -> None:
    answer = plan(range=asked)
    assert (answer.status, answer.start, answer.stop) == (206, start, stop)
    assert answer.headers["Content-Range"] == f"bytes {start}-{stop - 1}/10"
    assert answer.headers["Content-Length"] == str(stop - start)


@pytest.mark.parametrize("asked", ["bytes=10-", "bytes=10-11", "bytes=99999999999999999999-", "bytes=-0"])
def test_plan_response_when_no_byte_is_in_the_range_then_416_with_the_size(asked: str) -> None:
    answer = plan(range=asked)
    assert (answer.status, answer.start, answer.stop) == (416, 0, 0)
    assert answer.headers["Content-Range"] == "bytes */10"


@pytest.mark.parametrize(
    "asked",
    [
        "bytes=0-1,3-4",
        "bytes=5-3",
        "bytes=-",
        "bytes=",
        "bytes",
        "items=0-1",
        "bytes=a-b",
        "bytes=--1",
        "bytes=+1-2",
        "bytes=1.0-2",
        "bytes=٣-٤",
        "bytes=" + "9" * 5000 + "-",
    ],
)
def test_plan_response_when_the_range_is_odd_then_ignores_it(asked: str) -> None:
    assert plan(range=asked).status == 200


def test_plan_response_when_the_file_is_empty_then_any_range_is_unsatisfiable() -> None:
    assert plan(0, range="bytes=0-").status == 416
    assert plan(0).status == 200


def test_plan_response_when_head_has_a_range_then_ignores_it() -> None:
    assert plan(method="HEAD", range="bytes=0-1").headers["Content-Length"] == "10"


@pytest.mark.parametrize(("if_range", "status"), [(ETAG, 206), ('"old"', 200), (f"W/{ETAG}", 200), ("Tue, 01", 200)])
def test_plan_response_when_if_range_is_given_then_only_the_same_version_gets_a_part(
    if_range: str, status: int
) -> None:
    assert plan(range="bytes=0-1", if_range=if_range).status == status


@pytest.mark.parametrize("known", [ETAG, f"W/{ETAG}", f'"x", {ETAG}', f'"a,b",W/{ETAG}', "*", " * "])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_plan_response_when_the_client_has_it_then_304_without_a_body(known: str, method: str) -> None:
    answer = plan(method=method, if_none_match=known, range="bytes=0-1")
    assert answer == ResponsePlan(304, 0, 0, {"ETag": ETAG})


@pytest.mark.parametrize("known", ['"other"', "abc", "", '"ab"c"'])
def test_plan_response_when_the_client_has_another_version_then_sends_it(known: str) -> None:
    assert plan(if_none_match=known).status == 200


@given(st.text(st.characters(max_codepoint=255)), st.integers(0, 2**40))
def test_plan_response_when_the_range_is_any_text_then_the_part_is_inside_the_file(tail: str, size: int) -> None:
    answer = plan(size, range="bytes=" + tail)
    assert 0 <= answer.start <= answer.stop <= size
    assert answer.status in {200, 206, 416}


@pytest.mark.parametrize(
    ("filename", "header"),
    [
        ("a.pdf", 'attachment; filename="a.pdf"'),
        ("größe.pdf", "attachment; filename=\"gr__e.pdf\"; filename*=UTF-8''gr%C3%B6%C3%9Fe.pdf"),
        ('a"b\\c.txt', "attachment; filename=\"a_b_c.txt\"; filename*=UTF-8''a%22b%5Cc.txt"),
        ("50%.txt", "attachment; filename=\"50_.txt\"; filename*=UTF-8''50%25.txt"),
        ("a;b c.txt", 'attachment; filename="a;b c.txt"'),
        (
            "x\r\nSet-Cookie: a.txt",
            "attachment; filename=\"x__Set-Cookie: a.txt\"; filename*=UTF-8''x%0D%0ASet-Cookie%3A%20a.txt",
        ),
    ],
)
def test_content_disposition_when_given_a_name_then_is_one_safe_ascii_header(filename: str, header: str) -> None:
    assert content_disposition(filename) == header
    assert header.isascii()


def test_protective_headers_when_a_file_is_served_then_no_browser_runs_it() -> None:
    headers = protective_headers("a.html")
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert headers["Cache-Control"] == "private, no-cache"
