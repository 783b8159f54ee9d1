"""The door through which requests leave for URLs that clients gave us: pages to import, receivers to notify.

A name is resolved once; every address it has is judged; the connection goes to a judged address, while the Host
header and TLS keep the name. So a name that is bound anew between the look and the call leads nowhere else. Nothing is
shared between requests: no connection, no cookie, nothing from the environment.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import zlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

import httpx

from service.egress import Allowed, Refused, Target

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
"""The addresses of a host name, as text. Raises OSError where there are none."""

MOST_ADDRESSES = 3
"""Addresses of one name that are tried, one after the other, until one takes the connection."""

FOLLOWED = frozenset({301, 302, 303, 307, 308})


class Fault(StrEnum):
    """Why there is no answer."""

    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    TIMED_OUT = "timed_out"
    BROKEN = "broken"
    UNWANTED = "unwanted"
    TOO_MANY_REDIRECTS = "too_many_redirects"


class NoAnswer(Exception):
    """A request that was not sent, or not answered with HTTP. `explanation` continues "https://… ".

    Says nothing of addresses: what a name means inside the operator's network is not the client's to know.
    """

    def __init__(self, fault: Fault, explanation: str) -> None:
        super().__init__(explanation)
        self.fault = fault
        self.explanation = explanation


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """What one request may cost. `total_seconds` holds for redirects and body together, `silence_seconds` for one wait.

    `body_bytes` are counted after decompression, and of what came over the wire too; the rest is cut. A body of another
    type than `content_types` is not read, nor is one of which no bytes are wanted.
    """

    body_bytes: int
    connect_seconds: float = 5.0
    silence_seconds: float = 10.0
    total_seconds: float = 30.0
    redirects: int = 0
    content_types: frozenset[str] | None = None

    @property
    def timeouts(self) -> dict[str, float]:
        """The same in httpx's words."""
        silence = self.silence_seconds
        return {"connect": self.connect_seconds, "read": silence, "write": silence, "pool": silence}


@dataclass(frozen=True, kw_only=True)
class Received:
    """An HTTP answer of any status. `url` is the last that was asked; names of headers are in lower case."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes
    is_cut: bool = False

    @property
    def content_type(self) -> str:
        """Such as text/html, in lower case and without parameters; "" where none was said."""
        return content_type_of(self.headers)


def content_type_of(headers: Mapping[str, str]) -> str:
    """The type that headers speak of, as in `Received.content_type`."""
    return headers.get("content-type", "").partition(";")[0].strip().lower()


async def system_resolver(host: str, port: int) -> Sequence[str]:
    """What the operating system says."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class Door:
    """Sends requests to public addresses, and to those that `allowed` names. One per worker."""

    def __init__(self, allowed: Allowed, *, resolver: Resolver = system_resolver, tls: ssl.SSLContext | None = None):
        self._allowed = allowed
        self._resolver = resolver
        self._tls = tls

    async def get(self, url: str, bounds: Bounds, *, headers: Mapping[str, str] | None = None) -> Received:
        """The answer to a GET, redirects followed as far as `bounds` says, each judged anew. Raises NoAnswer."""
        return await self._bounded(bounds, self._follow(url, bounds, dict(headers or {})))

    async def post(self, url: str, content: bytes, bounds: Bounds, *, headers: Mapping[str, str]) -> Received:
        """The answer to a POST; a redirect is an answer like any other. Raises NoAnswer."""
        return await self._bounded(bounds, self._post(url, content, bounds, headers))

    async def close(self) -> None:
        """Nothing is asked after this."""
        if "_transport" in self.__dict__:
            await self._transport.aclose()

    @cached_property
    def _transport(self) -> httpx.AsyncHTTPTransport:
        # No connection is kept: one was verified for a name, and another name may have the same address.
        tls = self._tls or httpx.create_ssl_context(trust_env=False)
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
        return httpx.AsyncHTTPTransport(verify=tls, trust_env=False, limits=limits)

    async def _bounded(self, bounds: Bounds, answer: Awaitable[Received]) -> Received:
        try:
            async with asyncio.timeout(bounds.total_seconds):
                return await answer
        except (TimeoutError, httpx.TimeoutException) as error:
            raise NoAnswer(Fault.TIMED_OUT, "did not answer in time") from error
        except httpx.ConnectError as error:
            raise NoAnswer(Fault.UNREACHABLE, _why_not_connected(error)) from error
        except (httpx.TransportError, zlib.error) as error:
            raise NoAnswer(Fault.BROKEN, "gave an answer that cannot be read") from error

    async def _post(self, url: str, content: bytes, bounds: Bounds, headers: Mapping[str, str]) -> Received:
        target = self._target(url)
        response = await self._send("POST", target, bounds, headers, content)
        return await _read(target, response, bounds)

    async def _follow(self, url: str, bounds: Bounds, headers: Mapping[str, str]) -> Received:
        for _ in range(bounds.redirects + 1):
            target = self._target(url)
            response = await self._send("GET", target, bounds, headers)
            if response.status_code not in FOLLOWED or not bounds.redirects or "location" not in response.headers:
                return await _read(target, response, bounds)
            await response.aclose()
            url = _joined(target.url, response.headers["location"])
        raise NoAnswer(Fault.TOO_MANY_REDIRECTS, f"redirects more than {bounds.redirects} times")

    def _target(self, url: str) -> Target:
        try:
            return self._allowed.check_url(url)
        except Refused as error:
            raise NoAnswer(Fault.REFUSED, str(error)) from error

    async def _send(
        self, method: str, target: Target, bounds: Bounds, headers: Mapping[str, str], content: bytes = b""
    ) -> httpx.Response:
        """The answer's head, from the first address of the host that takes the connection."""
        *others, last = (await self._addresses(target))[:MOST_ADDRESSES]
        for address in others:
            try:
                return await self._ask(method, target, address, bounds, headers, content)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                continue
        return await self._ask(method, target, last, bounds, headers, content)

    async def _addresses(self, target: Target) -> list[str]:
        """Every address of the host, each of them judged: one that is refused refuses the host."""
        try:
            found = await self._resolver(target.host, target.port)
            addresses = [str(self._allowed.check_address(address)) for address in found]
        except (OSError, UnicodeError) as error:
            raise NoAnswer(Fault.UNREACHABLE, "has a host name that cannot be resolved") from error
        except Refused as error:
            raise NoAnswer(Fault.REFUSED, str(error)) from error
        if not addresses:
            raise NoAnswer(Fault.UNREACHABLE, "has a host name that cannot be resolved")
        return addresses

    async def _ask(
        self,
        method: str,
        target: Target,
        address: str,
        bounds: Bounds,
        headers: Mapping[str, str],
        content: bytes,
    ) -> httpx.Response:
        request = httpx.Request(
            method,
            _url(target.url).copy_with(host=address),
            headers={"Host": target.host_header, "Accept-Encoding": "gzip", "Connection": "close", **headers},
            content=content,
            extensions={"timeout": bounds.timeouts, "sni_hostname": target.host},
        )
        return await self._transport.handle_async_request(request)


def _url(text: str) -> httpx.URL:
    try:
        return httpx.URL(text)
    except httpx.InvalidURL as error:
        raise NoAnswer(Fault.REFUSED, "is not a URL") from error


def _joined(url: str, location: str) -> str:
    try:
        return str(_url(url).join(location))
    except httpx.InvalidURL as error:
        raise NoAnswer(Fault.BROKEN, "redirects to something that is no URL") from error


async def _read(target: Target, response: httpx.Response, bounds: Bounds) -> Received:
    headers = {name.lower(): value for name, value in response.headers.items()}
    try:
        kind = content_type_of(headers)
        if bounds.content_types is not None and response.is_success and kind not in bounds.content_types:
            raise NoAnswer(Fault.UNWANTED, f"is of the type {kind[:80]!r}, which is not read")
        body, is_cut = await _body(response, headers.get("content-encoding", "identity"), bounds.body_bytes)
    finally:
        await response.aclose()
    return Received(url=target.url, status=response.status_code, headers=headers, body=body, is_cut=is_cut)


async def _body(response: httpx.Response, encoding: str, most: int) -> tuple[bytes, bool]:
    """The body's first `most` bytes, decompressed within that bound, and whether there is more. For none of them the
    body is not waited for."""
    if not most:
        return b"", True
    if encoding not in ("identity", "gzip", "x-gzip", ""):
        raise NoAnswer(Fault.BROKEN, "gave an answer in an encoding that was not asked for")
    inflate = zlib.decompressobj(zlib.MAX_WBITS | 16).decompress if "gzip" in encoding else None
    body = bytearray()
    received = 0
    async for piece in response.aiter_raw():
        received += len(piece)
        body += inflate(piece, most - len(body) + 1) if inflate else piece
        if len(body) > most or received > most:
            return bytes(body[:most]), True
    return bytes(body), False


def _why_not_connected(error: BaseException) -> str:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return "shows a certificate that cannot be trusted"
        cause = cause.__cause__ or cause.__context__
    return "cannot be reached"
