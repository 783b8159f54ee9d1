"""Secrets that must be read again, encrypted under keys of the installation; and those keys.

A key is 32 random bytes in URL-safe Base64. The first of several seals, all of them open: so a key is replaced by
putting the new one in front of it.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable
from functools import cached_property
from os import urandom
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.fernet import MultiFernet

KEY_BYTES = 32


class Unreadable(Exception):
    """No key of this process opens it: it was sealed under another, or is damaged."""


class Keys:
    """The keys of this process, which may be none. Nothing here shows them."""

    def __init__(self, keys: Iterable[str] = ()) -> None:
        self._keys = tuple(keys)

    def __bool__(self) -> bool:
        return bool(self._keys)

    def __len__(self) -> int:
        return len(self._keys)

    @property
    def newest(self) -> Keys:
        """The one that seals, alone."""
        return Keys(self._keys[:1])

    def seal(self, secret: bytes) -> bytes:
        """Encrypted and authenticated. Raises LookupError where there is no key."""
        return self._fernet.encrypt(secret)

    def open(self, sealed: bytes) -> bytes:
        """What was sealed. Raises Unreadable."""
        from cryptography.fernet import InvalidToken

        if not self._keys:
            raise Unreadable
        try:
            return self._fernet.decrypt(sealed)
        except InvalidToken as error:
            raise Unreadable from error

    @cached_property
    def _fernet(self) -> MultiFernet:
        from cryptography.fernet import Fernet, MultiFernet  # a fifth of a second that most processes need not spend

        if not self._keys:
            raise LookupError("there is no key")
        return MultiFernet([Fernet(key) for key in self._keys])


def read_keys(text: str) -> Keys:
    """Comma-separated keys. Raises ValueError, which does not repeat them, for what is none."""
    keys = [part.strip() for part in text.split(",") if part.strip()]
    for place, key in enumerate(keys, 1):
        try:
            size = len(urlsafe_b64decode(key.encode("ascii")))
        except ValueError:
            size = 0
        if size != KEY_BYTES:
            raise ValueError(f"key {place} is not {KEY_BYTES} bytes in URL-safe Base64")
    return Keys(keys)


def new_key() -> str:
    """A key that was never used."""
    return urlsafe_b64encode(urandom(KEY_BYTES)).decode()
