"""Where our own requests may go: URLs that clients give us, and the addresses that their names resolve to.

Pure rules, without a network: the API judges a URL with them before it keeps it, the worker's door judges every
address before it connects.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

PORTS = {"http": 80, "https": 443}
LEAST_FREE_PORT = 1024
"""Below it only the two ports of the web: the rest are mail, shells and other things that no page is served by."""

LONGEST_URL = 2000
_UNSAFE = re.compile(r"[\x00-\x20\x7f\\]")
_HOST = re.compile(r"[a-z0-9_]([a-z0-9_.-]{0,251}[a-z0-9_.])?", re.IGNORECASE)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_UNICAST = ipaddress.IPv6Network("2000::/3")
"""All that was ever given out. What is outside is local, a translator's, as ::ffff:0:0:0/96, or nobody's."""
_NEVER_PUBLIC = tuple(
    ipaddress.ip_network(text)
    for text in (
        # Said here, and not left to `is_global`, whose tables differ from one Python to the next.
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24"),
        *("203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
        # Teredo and its neighbours; documentation; 6to4.
        *("2001::/23", "2001:db8::/32", "3fff::/20", "2002::/16"),
    )
)


class Refused(ValueError):
    """A URL or an address that no request of ours goes to. The message continues "https://… ", for its giver."""


@dataclass(frozen=True)
class Target:
    """A URL that may be asked, taken apart. `host` is ASCII and lower case, without brackets."""

    url: str
    scheme: str
    host: str
    port: int

    @property
    def host_header(self) -> str:
        """The Host header: the name, and the port where it is not the scheme's own."""
        name = f"[{self.host}]" if ":" in self.host else self.host
        return name if self.port == PORTS[self.scheme] else f"{name}:{self.port}"


class Allowed:
    """Networks that may be reached although they are not public, such as the operator's own.

    No dataclass: settings hold one, and what checks handlers' arguments reads the fields of dataclasses.
    """

    def __init__(self, networks: Iterable[Network] = ()) -> None:
        self.networks = tuple(networks)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Allowed) and self.networks == other.networks

    def __hash__(self) -> int:
        return hash(self.networks)

    def check_address(self, text: str) -> Address:
        """The address as such. Raises Refused for one that is neither public nor allowed here."""
        try:
            address = ipaddress.ip_address(text)
        except ValueError as error:
            raise Refused("resolves to something that is no address") from error
        meant = _meant(address)
        if any(meant.version == network.version and meant in network for network in self.networks):
            return address
        if not _is_public(meant):
            raise Refused("does not lead to a public address")
        return address

    def check_url(self, text: str) -> Target:
        """The URL taken apart. Raises Refused for one that is never asked, whatever its name resolves to."""
        target = read_url(text)
        try:
            literal = ipaddress.ip_address(target.host)
        except ValueError:
            return target
        self.check_address(str(literal))
        return target


def read_networks(text: str) -> Allowed:
    """Comma-separated networks such as 127.0.0.0/8. Raises ValueError for what is none."""
    parts = (part.strip() for part in text.split(","))
    return Allowed(ipaddress.ip_network(part) for part in parts if part)


def read_url(text: str) -> Target:
    """The URL taken apart: http or https, a host, a port of the web or from 1024, no credentials. Raises Refused."""
    if len(text) > LONGEST_URL:
        raise Refused(f"is longer than {LONGEST_URL} characters")
    if _UNSAFE.search(text):
        raise Refused("holds white space, a control character or a backslash")
    try:
        parts = urlsplit(text)
        port, host = parts.port, parts.hostname or ""
    except ValueError as error:
        raise Refused("is not a URL") from error
    if parts.scheme not in PORTS:
        raise Refused("does not begin with http:// or https://")
    if "@" in parts.netloc:
        raise Refused("holds credentials")
    port = PORTS[parts.scheme] if port is None else port
    if port not in PORTS.values() and port < LEAST_FREE_PORT:
        raise Refused(f"names port {port}; 80, 443 and those from {LEAST_FREE_PORT} on may be named")
    return Target(text, parts.scheme, _ipv6(host) if "[" in parts.netloc else _name(host), port)


def _name(host: str) -> str:
    try:
        name = host.encode("idna").decode() if not host.isascii() else host
    except UnicodeError as error:
        raise Refused("has a host name that does not exist") from error
    if not _HOST.fullmatch(name):
        raise Refused("has no valid host name")
    return name.lower()


def _ipv6(host: str) -> str:
    try:
        address = ipaddress.IPv6Address(host)
    except ValueError as error:
        raise Refused("has no valid host name") from error
    if address.scope_id is not None:
        raise Refused("does not lead to a public address")
    return str(address)


def _meant(address: Address) -> Address:
    """The IPv4 address that an IPv6 one stands for, where the system or a gateway would go there; else itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 else address


def _is_public(address: Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address) and (address.scope_id is not None or address not in _UNICAST):
        return False
    listed = any(address.version == network.version and address in network for network in _NEVER_PUBLIC)
    return not listed and address.is_global and not address.is_multicast
