"""Tokens: agt_, 43 random base62 characters, and 6 that are a CRC32 of all before. Only their sha256 is stored."""

from __future__ import annotations

import hashlib
import re
import secrets
import string
import zlib

PREFIX = "agt_"
DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase
RANDOM_LENGTH = 43  # 256 bits: a digest without salt or stretching is enough
CHECKSUM_LENGTH = 6  # 62 ** 6 > 2 ** 32
FORM = re.compile(rf"{PREFIX}[0-9A-Za-z]{{{RANDOM_LENGTH + CHECKSUM_LENGTH}}}")


def new_token() -> str:
    """A token that was never given out. It is shown once: store `digest_of` it."""
    body = PREFIX + "".join(secrets.choice(DIGITS) for _ in range(RANDOM_LENGTH))
    return body + _checksum(body)


def digest_of(token: str) -> bytes:
    """What is stored and looked up: sha256 of the whole token."""
    return hashlib.sha256(token.encode()).digest()


def is_well_formed(token: str) -> bool:
    """Whether prefix, alphabet, length and checksum fit; a typing error or a guess ends here, without a look-up."""
    return FORM.fullmatch(token) is not None and token.endswith(_checksum(token[:-CHECKSUM_LENGTH]))


def _checksum(body: str) -> str:
    rest = zlib.crc32(body.encode())
    digits = ""
    for _ in range(CHECKSUM_LENGTH):
        rest, digit = divmod(rest, len(DIGITS))
        digits = DIGITS[digit] + digits
    return digits
