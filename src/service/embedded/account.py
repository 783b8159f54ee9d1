"""Which operating system account runs the server, and what that account can reach.

PostgreSQL refuses to run as root. Root therefore hands the server to an account that already exists; accounts are never
created and permissions of directories that are not ours are never changed.
"""

import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path

from service.embedded.errors import EmbeddedError

SERVER_ACCOUNTS = ("postgres", "nobody")


@dataclass(frozen=True)
class Account:
    uid: int
    gid: int

    @property
    def is_other(self) -> bool:
        """Whether the server runs as somebody else than this process."""
        return self.uid != os.geteuid()

    def own(self, path: Path) -> None:
        if self.is_other:
            os.chown(path, self.uid, self.gid)

    def reaches(self, directory: Path) -> bool:
        """Whether every directory on the way, and the directory itself, lets this account through."""
        directory = directory.resolve()
        return not self.is_other or all(self._may_enter(step) for step in (directory, *directory.parents))

    def _may_enter(self, directory: Path) -> bool:
        found = directory.stat()
        if found.st_uid == self.uid:
            return bool(found.st_mode & stat.S_IXUSR)
        if found.st_gid == self.gid:
            return bool(found.st_mode & stat.S_IXGRP)
        return bool(found.st_mode & stat.S_IXOTH)


def server_account(data: Path) -> Account:
    """The caller, or for root the owner of existing data, else the first of SERVER_ACCOUNTS that exists."""
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid())
    if data.exists() and (owner := data.stat()).st_uid != 0:
        return Account(owner.st_uid, owner.st_gid)
    for name in SERVER_ACCOUNTS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    raise EmbeddedError(
        f"PostgreSQL refuses to run as root and none of the accounts {', '.join(SERVER_ACCOUNTS)} exists. "
        "Run this as an ordinary user, or set DATABASE_URL."
    )
