"""The `agentic` command as a process of its own, the way people run it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping


def agentic(*arguments: str, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run to the end with nothing of ours in the environment but what is given."""
    inherited = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("AGENTIC_", "DATABASE_", "OPENAI_", "PROCRASTINATE"))
    }
    return subprocess.run(
        [sys.executable, "-m", "service.cli", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env={**inherited, **(environment or {})},
        check=False,
    )
