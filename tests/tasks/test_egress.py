"""The door against real servers: where it goes, what it follows, and what every way of misbehaving ends as."""

from __future__ import annotations

import asyncio
import gzip
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from service.egress import Allowed, read_networks
from tasks.egress import Bounds, Door, Fault, NoAnswer, Received
from tests.tasks.web_server import Answer, Names, WebServer, answer, moved, serving

LOOPBACK = read_networks("127.0.0.0/8")
BOUNDS = Bounds(body_bytes=10_000, redirects=5, silence_seconds=5, connect_seconds=5)
HERE: Mapping[str, list[Sequence[str]]] = {"shop.test": [["127.0.0.1"]], "other.test": [["127.0.0.1"]]}
TLS = ssl.create_default_context()
"""Made once: making one takes longer than some of the waits that are tested."""

CERTIFICATE = Path(__file__).parent / "certificates" / "shop.test.pem"


def got(
    path: str = "/",
    bounds: Bounds = BOUNDS,
    *,
    names: Names | None = None,
    allowed: Allowed = LOOPBACK,
    url: str = "http://shop.test:{port}",
    **answers: Answer,
) -> tuple[Received | NoAnswer, WebServer]:
    """What a GET gives where the server answers /name as said, and / as `root`."""

    async def once() -> tuple[Received | NoAnswer, WebServer]:
        by_path = {"/" if name == "root" else f"/{name}": given for name, given in answers.items()}
        async with serving(by_path) as web:
            door = Door(allowed, resolver=names or Names(HERE), tls=TLS)
            try:
                return await door.get(url.format(port=web.port) + path, bounds), web
            except NoAnswer as error:
                return error, web
            finally:
                await door.close()

    return asyncio.run(once())


def received(path: str = "/", bounds: Bounds = BOUNDS, **given: Any) -> Received:
    found, _ = got(path, bounds, **given)
    assert isinstance(found, Received), found
    return found


def fault(path: str = "/", bounds: Bounds = BOUNDS, **given: Any) -> Fault:
    found, _ = got(path, bounds, **given)
    assert isinstance(found, NoAnswer), found
    return found.fault


def test_get_when_the_address_is_allowed_then_the_answer_comes_back() -> None:
    found, web = got(root=answer("hello", X_Kind="page"))
    assert isinstance(found, Received)
    assert (found.status, found.body, found.is_cut, found.content_type) == (200, b"hello", False, "text/html")
    assert found.headers["x-kind"] == "page"
    assert f"host: shop.test:{web.port}" in web.asked[0].lower()


def test_get_when_the_status_is_an_error_then_it_is_an_answer_all_the_same() -> None:
    assert received("/absent").status == 404


def test_get_when_nothing_is_allowed_then_loopback_is_refused_unasked() -> None:
    found, web = got(allowed=Allowed(), root=answer("secret"))
    assert isinstance(found, NoAnswer)
    assert found.fault is Fault.REFUSED
    assert web.asked == []
    assert "127" not in found.explanation


@pytest.mark.parametrize("url", ["http://127.0.0.1:{port}", "http://[::ffff:127.0.0.1]:{port}", "ftp://shop.test"])
def test_get_when_the_url_itself_is_refused_then_nothing_is_resolved(url: str) -> None:
    names = Names(HERE)
    assert fault(url=url, allowed=Allowed(), names=names) is Fault.REFUSED
    assert names.asked == []


def test_get_when_one_of_the_addresses_is_private_then_the_host_is_refused() -> None:
    names = Names({"shop.test": [["127.0.0.1", "10.0.0.1"]]})
    assert fault(names=names, root=answer("x")) is Fault.REFUSED


def test_get_when_the_name_is_bound_anew_then_the_judged_address_is_the_one_asked() -> None:
    names = Names({"shop.test": [["127.0.0.1"], ["169.254.169.254"]]})
    assert received(names=names, root=answer("judged")).body == b"judged"
    assert names.asked == ["shop.test"]


def test_get_when_a_redirect_leads_to_a_name_bound_anew_then_the_second_look_refuses_it() -> None:
    names = Names({"shop.test": [["127.0.0.1"], ["169.254.169.254"]]})
    found, web = got("/a", names=names, a=moved("/b"), b=answer("never"))
    assert isinstance(found, NoAnswer)
    assert (found.fault, web.paths) == (Fault.REFUSED, ["/a"])


@pytest.mark.parametrize("to", ["http://169.254.169.254/latest/", "http://10.0.0.1/", "file:///etc/passwd", "//u:p@x/"])
def test_get_when_a_redirect_leads_where_nothing_may_go_then_it_is_refused(to: str) -> None:
    assert fault("/a", a=moved(to)) is Fault.REFUSED


def test_get_when_it_is_redirected_then_it_follows_and_says_where_it_came_to() -> None:
    found, web = got("/a", a=moved("b"), b=answer("there"))
    assert isinstance(found, Received)
    assert (found.body, found.url) == (b"there", f"http://shop.test:{web.port}/b")


def test_get_when_redirects_go_in_a_circle_then_it_gives_up() -> None:
    found, web = got("/a", a=moved("/a"))
    assert isinstance(found, NoAnswer)
    assert (found.fault, len(web.asked)) == (Fault.TOO_MANY_REDIRECTS, 6)


def test_get_when_redirects_are_not_followed_then_the_redirect_is_the_answer() -> None:
    assert received("/a", replace(BOUNDS, redirects=0), a=moved("/b")).status == 302


def test_get_when_cookies_are_set_then_they_are_not_sent_on() -> None:
    first = answer(status=302, Location="/b", Set_Cookie="a=b")
    found, web = got("/a", a=first, b=answer("x"))
    assert isinstance(found, Received)
    assert "cookie" not in web.asked[1].lower()


def test_get_when_a_proxy_is_in_the_environment_then_it_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    assert received(root=answer("direct")).body == b"direct"


def test_get_when_the_first_address_takes_no_connection_then_the_next_is_asked() -> None:
    names = Names({"shop.test": [["127.9.9.9", "127.0.0.1"]]})
    assert received(names=names, root=answer("second")).body == b"second"


def test_get_when_nobody_listens_then_it_is_unreachable() -> None:
    assert fault(url="http://127.9.9.9:{port}") is Fault.UNREACHABLE


@pytest.mark.parametrize("names", [Names({}), Names({"shop.test": [[]]})])
def test_get_when_the_name_does_not_resolve_then_it_is_unreachable(names: Names) -> None:
    assert fault(names=names) is Fault.UNREACHABLE


SLOW = Answer(b"HTTP/1.1 200 OK\r\n\r\n", [b"x"], pause=0.02, endless=True)
ENDLESS = Answer(b"HTTP/1.1 200 OK\r\n\r\n", [b"x" * 5000], endless=True)


def test_get_when_the_body_drips_then_the_whole_has_an_end() -> None:
    assert fault(bounds=replace(BOUNDS, total_seconds=0.5), root=SLOW) is Fault.TIMED_OUT


def test_get_when_nothing_comes_then_it_ends_after_the_silence() -> None:
    silent = Answer(b"HTTP/1.1 200 OK\r\n", [b""], pause=0.5, endless=True)
    assert fault(bounds=replace(BOUNDS, silence_seconds=0.3), root=silent) is Fault.TIMED_OUT


def test_get_when_the_body_is_endless_then_it_is_cut() -> None:
    found = received(root=ENDLESS)
    assert (len(found.body), found.is_cut) == (10_000, True)


def test_get_when_the_body_is_exactly_as_long_as_allowed_then_it_is_whole() -> None:
    found = received(root=answer(b"x" * 10_000))
    assert (len(found.body), found.is_cut) == (10_000, False)


def test_get_when_the_body_is_compressed_then_it_is_read() -> None:
    assert received(root=answer(gzip.compress(b"hello"), Content_Encoding="gzip")).body == b"hello"


def test_get_when_the_body_is_a_bomb_then_it_is_cut_where_it_would_grow() -> None:
    bomb = gzip.compress(bytes(9_000_000))
    assert len(bomb) < BOUNDS.body_bytes
    found = received(root=answer(bomb, Content_Encoding="gzip"))
    assert (len(found.body), found.is_cut) == (10_000, True)


def test_get_when_compression_brings_nothing_then_what_came_is_counted_too() -> None:
    empty = gzip.compress(b"")[:10]
    block = b"\x00\x00\x00\xff\xff" * 1000
    found = received(root=Answer(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + empty, [block], endless=True))
    assert found.is_cut


BROKEN = {
    "garbage": Answer(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"),
    "huge headers": Answer(b"HTTP/1.1 200 OK\r\n", [b"X-A: " + b"a" * 5000 + b"\r\n"], endless=True),
    "hangs up": Answer(b""),
    "short body": Answer(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello"),
    "bad gzip": answer(b"hello", Content_Encoding="gzip"),
    "other encoding": answer(b"hello", Content_Encoding="br"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_get_when_the_answer_is_not_http_or_not_whole_then_it_is_broken(name: str) -> None:
    assert fault(root=BROKEN[name]) is Fault.BROKEN


def test_get_when_the_type_is_not_wanted_then_the_body_is_not_read() -> None:
    endless = Answer(b"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\n\r\n", [b"x"], endless=True)
    wanted = replace(BOUNDS, content_types=frozenset({"text/html"}), body_bytes=10**9)
    assert fault(bounds=wanted, root=endless) is Fault.UNWANTED


def test_post_when_it_is_redirected_then_the_redirect_is_the_answer_and_the_body_went_out_once() -> None:
    async def once() -> tuple[Received, WebServer]:
        async with serving({"/hook": moved("/other", 307)}) as web:
            door = Door(LOOPBACK, resolver=Names(HERE), tls=TLS)
            url = f"http://shop.test:{web.port}/hook"
            found = await door.post(url, b"{}", BOUNDS, headers={"Content-Type": "application/json"})
            await door.close()
            return found, web

    found, web = asyncio.run(once())
    assert (found.status, web.bodies, web.paths) == (307, [b"{}"], ["/hook"])
    assert web.asked[0].startswith("POST /hook HTTP/1.1\r\n")


@pytest.mark.parametrize(("name", "is_trusted"), [("shop.test", True), ("other.test", False)])
def test_get_over_tls_when_the_address_is_pinned_then_the_certificate_is_held_to_the_name(
    name: str, is_trusted: bool
) -> None:
    async def once() -> Received | NoAnswer:
        ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ours.load_cert_chain(CERTIFICATE)
        theirs = ssl.create_default_context(cafile=str(CERTIFICATE))
        async with serving({"/": answer("sealed")}, tls=ours) as web:
            door = Door(LOOPBACK, resolver=Names(HERE), tls=theirs)
            try:
                return await door.get(f"https://{name}:{web.port}/", BOUNDS)
            except NoAnswer as error:
                return error
            finally:
                await door.close()

    found = asyncio.run(once())
    if is_trusted:
        assert isinstance(found, Received)
        assert found.body == b"sealed"
    else:
        assert isinstance(found, NoAnswer)
        assert found.explanation == "shows a certificate that cannot be trusted"
