"""Types of arguments that several commands take."""

from __future__ import annotations

import click


class Whole(click.IntRange):
    """A whole number within bounds. click calls its own "integer range", also where what was given is no number."""

    name = "integer"
