"""Where requests may go: URLs by their form, addresses by what they stand for."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from service.egress import Allowed, Refused, read_networks, read_url
from service.errors import SetupError
from service.settings import Settings

PUBLIC = ["93.184.215.14", "2606:4700::1111", "::ffff:93.184.215.14", "64:ff9b::5db8:d70e"]
NOT_PUBLIC = [
    *("127.0.0.1", "127.8.8.8", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1"),
    *("192.0.0.1", "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "240.0.0.1"),
    *("255.255.255.255", "192.88.99.1", "::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::7f00:1"),
    *("64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2002:7f00:1::", "2002:5db8:d70e::1", "2001::1"),
    *("fc00::1", "fd12::1", "fe80::1", "fe80::1%eth0", "2606:4700::1%1", "fec0::1", "ff02::1", "2001:db8::1"),
    *("100::1", "5f00::1", "3fff::1", "::ffff:0:127.0.0.1", "::ffff:0:93.184.215.14", "4000::1", "::2:0:0:1", "200::1"),
]


@pytest.mark.parametrize("address", PUBLIC)
def test_check_address_when_it_is_public_then_it_is_taken_as_it_is(address: str) -> None:
    assert Allowed().check_address(address) == ip_address(address)


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_check_address_when_it_is_not_public_then_it_is_refused(address: str) -> None:
    with pytest.raises(Refused, match="public"):
        Allowed().check_address(address)


def test_check_address_when_it_is_none_then_it_is_refused() -> None:
    with pytest.raises(Refused, match="no address"):
        Allowed().check_address("localhost")


@pytest.mark.parametrize("address", ["10.1.2.3", "::ffff:10.1.2.3", "fd00::1"])
def test_check_address_when_a_network_is_allowed_then_its_addresses_are(address: str) -> None:
    assert read_networks("10.0.0.0/8, fd00::/8").check_address(address)


def test_check_address_when_another_network_is_allowed_then_it_stays_refused() -> None:
    with pytest.raises(Refused):
        read_networks("10.0.0.0/8").check_address("192.168.1.1")


REFUSED = [
    ("ftp://shop.test/", "http"),
    ("file:///etc/passwd", "http"),
    ("//shop.test/", "http"),
    ("shop.test", "http"),
    ("http://user:secret@shop.test/", "credentials"),
    ("http://user@shop.test/", "credentials"),
    ("http://shop.test\\@127.0.0.1/", "backslash"),
    ("http://shop.test/a b", "white space"),
    ("http://shop.test/\r\nX: y", "control character"),
    ("http://", "host name"),
    ("http://sh|op.test/", "host name"),
    ("http://-shop.test/", "host name"),
    ("http://[::1", "not a URL"),
    ("http://[v1.a]/", "host name|not a URL"),
    ("http://shop.test:99999/", "not a URL"),
    ("http://shop.test:22/", "port 22"),
    ("http://shop.test:0/", "port 0"),
    ("http://[fe80::1%25eth0]/", "public|host name"),
    (f"http://shop.test/{'a' * 2000}", "longer"),
]


@pytest.mark.parametrize(("url", "reason"), REFUSED)
def test_read_url_when_it_is_never_asked_then_it_is_refused_with_the_reason(url: str, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        read_url(url)


@pytest.mark.parametrize(
    ("url", "host", "port", "header"),
    [
        ("http://Shop.Test/a?b#c", "shop.test", 80, "shop.test"),
        ("https://shop.test:8443", "shop.test", 8443, "shop.test:8443"),
        ("HTTPS://bücher.test/", "xn--bcher-kva.test", 443, "xn--bcher-kva.test"),
        ("http://[2606:4700::1111]:8080/", "2606:4700::1111", 8080, "[2606:4700::1111]:8080"),
        ("http://１２７.0.0.1/", "127.0.0.1", 80, "127.0.0.1"),
    ],
)
def test_read_url_when_it_may_be_asked_then_it_comes_apart(url: str, host: str, port: int, header: str) -> None:
    target = read_url(url)
    assert (target.host, target.port, target.host_header) == (host, port, header)


@pytest.mark.parametrize("url", ["http://127.0.0.1/", "http://[::1]/", "http://169.254.169.254/latest/"])
def test_check_url_when_the_host_is_an_address_then_it_is_judged_at_once(url: str) -> None:
    with pytest.raises(Refused, match="public"):
        Allowed().check_url(url)
    assert read_networks("0.0.0.0/0, ::/0").check_url(url).url == url


def test_setting_when_it_names_networks_then_they_are_allowed_and_by_default_none_is() -> None:
    assert Settings.read({}).egress_allow == Allowed()
    allowed = Settings.read({"AGENTIC_EGRESS_ALLOW": "127.0.0.0/8"}).egress_allow
    assert allowed.check_address("127.0.0.1")


def test_setting_when_it_is_no_network_then_the_variable_is_named() -> None:
    with pytest.raises(SetupError, match="AGENTIC_EGRESS_ALLOW='localhost'"):
        Settings.read({"AGENTIC_EGRESS_ALLOW": "localhost"})
