"""The `agentic` command, in this process: a Python that starts and imports costs a second, these tests need none.

What only a process shows (an exec, a signal, imports, the status that a shell sees) takes `agentic_process`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from unittest.mock import patch

from service.cli import main

Done = subprocess.CompletedProcess[str]


def agentic(*arguments: str, environment: Mapping[str, str] | None = None) -> Done:
    """Run to the end with nothing of ours in the environment but what is given. What is not caught is raised here."""
    out, err = StringIO(), StringIO()
    with (
        patch.dict(os.environ, _environment(environment), clear=True),
        patch.object(sys, "argv", ["agentic", *arguments]),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            main()
            status = 0
        except SystemExit as ended:
            status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    return subprocess.CompletedProcess(arguments, status, out.getvalue(), err.getvalue())


def agentic_process(*arguments: str, environment: Mapping[str, str] | None = None) -> Done:
    """The same as a process of its own, the way people run it."""
    return subprocess.run(
        [sys.executable, "-m", "service.cli", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env=_environment(environment),
        check=False,
    )


def _environment(given: Mapping[str, str] | None) -> dict[str, str]:
    ours = ("AGENTIC_", "DATABASE_", "OPENAI_", "PROCRASTINATE")
    return {key: value for key, value in os.environ.items() if not key.startswith(ours)} | dict(given or {})
