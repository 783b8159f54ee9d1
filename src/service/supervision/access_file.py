"""`.data/cli.json`, where the API of this folder is and a token for it, and `.data/secret.key`; for the owner alone."""

from __future__ import annotations

import json
import os
from pathlib import Path

import msgspec

from service.sealing import new_key


class Access(msgspec.Struct, kw_only=True):
    """What the person beside `agentic up` needs: the URL, the token, and what the first start made."""

    url: str
    token: str
    account: int
    data_set: int
    agent: int
    echo_agent: int


def read_access(path: Path) -> Access | None:
    """None where there is no file, or none that can be read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Access)
    except (OSError, msgspec.DecodeError):
        return None


def write_access(path: Path, access: Access) -> None:
    """Made with mode 0600 from the first byte on, and moved into place."""
    _write(path, json.dumps(msgspec.to_builtins(access), indent=2) + "\n")


def secret_key_file(directory: Path) -> Path:
    """The file of the key that secrets of webhooks are sealed under; made the first time, in the same way."""
    path = directory / "secret.key"
    if not path.exists():
        _write(path, new_key() + "\n")
    return path


def _write(path: Path, text: str) -> None:
    partial = path.with_name(path.name + ".new")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    partial.replace(path)
