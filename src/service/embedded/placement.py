"""Where a cluster's data and its socket go.

The data belongs in the data root. Root's checkout often lies under a directory closed to the account that runs
the server (/root is); then the data goes to OUTSIDE and the data root holds a symbolic link to it. The socket has a
directory of its own: its path may not exceed about a hundred bytes, which a checkout's path easily does.
"""

import hashlib
import os
import stat
import tempfile
from pathlib import Path

from service.embedded.account import Account
from service.embedded.errors import EmbeddedError

OUTSIDE = Path("/var/lib/agentic-executions")
SOCKET_NAME = ".s.PGSQL.5432"
# sockaddr_un holds 108 bytes on Linux, 104 on macOS, each with a closing NUL.
LONGEST_SOCKET_PATH = 103


def home_for_data(data_root: Path, *, account: Account) -> Path:
    """The directory to make a new `data` in."""
    if account.reaches(data_root):
        return data_root
    try:
        OUTSIDE.mkdir(mode=0o755, parents=True, exist_ok=True)
        home = Path(tempfile.mkdtemp(prefix=f"{_fingerprint(data_root)}-", dir=OUTSIDE))
    except OSError as error:
        raise EmbeddedError(
            f"{str(data_root)!r} is closed to the account that runs PostgreSQL for root, and {str(OUTSIDE)!r} "
            f"cannot take the data instead ({error}). Move the checkout, run this as an ordinary user, "
            "or set DATABASE_URL."
        ) from error
    account.own(home)
    return home


def socket_directory(data_root: Path, *, account: Account, runtime_directory: Path | None) -> Path:
    """A private directory with a short path, made if it is not there: always the same one for one data root."""
    name = f"agentic-{account.uid}-{_fingerprint(data_root)}"
    candidates = [runtime_directory, Path(tempfile.gettempdir()), Path("/tmp")]  # noqa: S108 - made private below
    for parent in filter(None, candidates):
        directory = parent.resolve() / name
        is_short = len(os.fsencode(directory / SOCKET_NAME)) <= LONGEST_SOCKET_PATH
        if is_short and parent.is_dir() and os.access(parent, os.W_OK) and account.reaches(parent):
            _make_private(directory, account=account)
            return directory
    tried = ", ".join(repr(str(parent)) for parent in candidates if parent)
    raise EmbeddedError(f"No directory that takes PostgreSQL's socket under a short path; tried {tried}.")


def _make_private(directory: Path, *, account: Account) -> None:
    """In /tmp anybody may have made it first; one that is not ours is refused, as its owner could read every query."""
    try:
        directory.mkdir(mode=0o700)
        account.own(directory)
    except FileExistsError:
        found = directory.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid not in (account.uid, os.geteuid()):
            raise EmbeddedError(f"{str(directory)!r} is somebody else's; remove it to start PostgreSQL.") from None
        account.own(directory)
    directory.chmod(0o700)


def clear_socket_directory(directory: Path) -> None:
    """Drop what a killed server left. Its lock file would stop the next one if its pid is in use again."""
    for name in (SOCKET_NAME, f"{SOCKET_NAME}.lock"):
        (directory / name).unlink(missing_ok=True)


def _fingerprint(data_root: Path) -> str:
    return hashlib.sha256(os.fsencode(data_root.resolve())).hexdigest()[:8]
