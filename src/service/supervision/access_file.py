"""`.data/cli.json`: where the API of this folder is and a token for it; readable by its owner alone."""

from __future__ import annotations

import json
import os
from pathlib import Path

import msgspec


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
    partial = path.with_name(path.name + ".new")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(msgspec.to_builtins(access), file, indent=2)
        file.write("\n")
    partial.replace(path)
