"""Pages as text: what of HTML reaches a model, and the way there through a real server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest

from agentic import ToolFailed, WebPage
from service.settings import Settings
from tasks.document_reader import PRODUCT_DATA
from tasks.web_pages import MAX_PAGE_CHARACTERS, WebPages
from tests.tasks.web_server import Answer, WebServer, answer, moved, serving

SETTINGS = Settings.read({"AGENTIC_EGRESS_ALLOW": "127.0.0.0/8"})


def read(given: Answer | Mapping[str, Answer], path: str = "/", times: int = 1) -> tuple[WebPage, WebServer]:
    async def once() -> tuple[WebPage, WebServer]:
        pages = WebPages(SETTINGS)
        try:
            async with serving({"/": given} if isinstance(given, Answer) else given) as web:
                run = pages.of_run()
                found = [await run.page(f"http://127.0.0.1:{web.port}{path}") for _ in range(times)]
                assert all(page is found[0] for page in found)
                return found[0], web
        finally:
            await pages.close()

    return asyncio.run(once())


def text_of(html: str | bytes, content_type: str = "text/html") -> str:
    return read(answer(html, content_type=content_type))[0].text


def block(*products: Any) -> str:
    return f'<script type="application/ld+json">{json.dumps(list(products))}</script>'


PAGE = f"""<!DOCTYPE html><html><head><title> Desk  Lamp &amp; more </title>
<meta name="description" content="A lamp."><meta property="product:price:amount" content="12.50">
<meta name="viewport" content="width=device-width"><style>p {{ color: red }}</style>
{block({"@type": "Product", "sku": "DL-7", "name": "Größe", "review": "long"})}
<script>alert("<p>not shown</p>")</script></head>
<body><nav><a href="/">Home</a></nav><h1>Desk Lamp</h1><p>Stands
40&nbsp;cm <b>high</b>.<br>Foldable<p>Unclosed <svg><title>icon</title></svg>
<table><tr><th>Weight<td>2 kg</table><ul><li>one<li>two</ul><noscript>Turn it on</noscript>
<meta itemprop="price" content="12.50"></body></html>"""


def test_page_when_it_is_html_then_its_words_come_by_blocks_after_what_it_says_for_machines() -> None:
    assert text_of(PAGE).split("\n\n") == [
        "Title: Desk Lamp & more",
        "description: A lamp.",
        "product:price:amount: 12.50",
        f'{PRODUCT_DATA}\n{{"@type": "Product", "sku": "DL-7", "name": "Größe"}}',
        "Home\nDesk Lamp\nStands 40 cm high.\nFoldable\nUnclosed\nWeight | 2 kg\none\ntwo\nprice: 12.50",
    ]


def test_page_when_products_are_nested_or_the_block_is_broken_then_what_can_be_read_is() -> None:
    graph = {"@graph": [{"@type": "WebPage"}, {"@type": ["Thing", "Product"], "sku": "A-1"}]}
    html = f'<script type="Application/LD+JSON">{{broken</script>{block(graph)}{block({"@type": "Person"})}<p>x'
    assert text_of(html) == f'{PRODUCT_DATA}\n{{"@type": ["Thing", "Product"], "sku": "A-1"}}\n\nx'


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        ("größe".encode(), "text/html"),
        ("größe".encode("latin-1"), "text/html; charset=ISO-8859-1"),
        (b'<meta charset="windows-1252">' + "größe".encode("cp1252"), "text/html"),
        ("größe".encode(), "text/html; charset=no-such-thing"),
        ("größe".encode(), "text/plain"),
    ],
)
def test_page_when_its_charset_is_said_anywhere_then_it_is_read_by_it(body: bytes, content_type: str) -> None:
    assert text_of(body, content_type) == "größe"


def test_page_when_it_is_long_then_its_end_is_cut_and_that_is_said() -> None:
    page, _ = read(answer("<p>" + "word " * MAX_PAGE_CHARACTERS))
    assert page.is_cut
    assert len(page.text) < MAX_PAGE_CHARACTERS + 200
    assert page.text.endswith("is missing: these are the first 30,000 of 149,999 characters.]")


def test_page_when_it_was_redirected_then_it_says_where_to() -> None:
    page, web = read({"/old": moved("/new"), "/new": answer("<p>here")}, "/old")
    assert (page.url, page.text) == (f"http://127.0.0.1:{web.port}/new", "here")


def test_page_when_a_run_asks_again_then_it_is_not_fetched_again() -> None:
    _, web = read(answer("<p>once"), times=2)
    assert web.paths == ["/"]


PROBLEMS = {
    "answered with status 404": answer("gone", 404),
    "answered with status 302": answer("", 302),
    "is of the type 'image/png', which is not read": answer(b"\x89PNG", content_type="image/png"),
    "holds no text; it may need scripts to show any": answer("<script>render()</script>"),
    "could not be read: it is damaged and cannot be read": answer("%PDF-1.4 no", content_type="application/pdf"),
    "redirects more than 5 times": moved("/"),
}


@pytest.mark.parametrize("problem", PROBLEMS)
def test_page_when_it_cannot_be_had_then_the_tool_fails_and_says_why(problem: str) -> None:
    with pytest.raises(ToolFailed, match=f"http://127.0.0.1:[0-9]+/ {problem}"):
        read(PROBLEMS[problem])
