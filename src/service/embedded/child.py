"""Programs of PostgreSQL as children of this process: under the server's account, in a bare environment."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from service.embedded.account import Account
from service.embedded.errors import EmbeddedError

# Given whole, so that PGDATA, PGPORT and their like in the caller's environment change nothing.
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC"}
PR_SET_PDEATHSIG = 1


def spawn(command: Sequence[str | Path], *, account: Account, output: IO[bytes]) -> subprocess.Popen[bytes]:
    """Start a server that shuts itself down when the thread that calls this ends, even by kill -9 (Linux only).

    A session of its own keeps Ctrl-C from it: the supervisor decides when the server stops.
    """
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        cwd="/",
        env=ENVIRONMENT,
        start_new_session=True,
        user=account.uid if account.is_other else None,
        group=account.gid if account.is_other else None,
        extra_groups=[] if account.is_other else None,
        preexec_fn=die_with_parent(signal.SIGINT),
    )


def run(command: Sequence[str | Path], *, account: Account, statement: str = "") -> None:
    """Run to the end; whatever it said is in the error if it fails."""
    ended = subprocess.run(
        command,
        input=statement,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd="/",
        env=ENVIRONMENT,
        start_new_session=True,
        user=account.uid if account.is_other else None,
        group=account.gid if account.is_other else None,
        extra_groups=[] if account.is_other else None,
        preexec_fn=die_with_parent(signal.SIGTERM),
        check=False,
    )
    if ended.returncode != 0:
        raise EmbeddedError(f"{Path(command[0]).name} failed with status {ended.returncode}: {ended.stdout.strip()}")


def die_with_parent(signal_number: signal.Signals) -> Callable[[], None] | None:
    """For preexec_fn, which runs after the change of account; that change would clear the setting."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    parent = os.getpid()

    def ask_for_signal() -> None:
        libc.prctl(PR_SET_PDEATHSIG, int(signal_number), 0, 0, 0)
        if os.getppid() != parent:  # it died before the call above
            os._exit(1)

    return ask_for_signal
