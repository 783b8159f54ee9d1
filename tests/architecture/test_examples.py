"""Python that documents show is run, block after block, as a reader would paste it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", ["README.md", "docs/definitions.md"])
def test_python_of_a_page_when_pasted_runs(page: str) -> None:
    blocks = BLOCK.findall((ROOT / page).read_text())
    assert any("assert played.outcome.result" in block for block in blocks)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-"],
        input="\n".join(blocks),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
