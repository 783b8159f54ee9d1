"""The published limits on the files of one request."""

from __future__ import annotations

from dataclasses import dataclass

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class FileLimits:
    """What one request may carry. The settings hold the values; every field must be positive."""

    max_files: int = 20
    """Files in one request."""
    max_file_bytes: int = 25 * MEBIBYTE
    """Bytes of one file."""
    max_total_bytes: int = 100 * MEBIBYTE
    """Bytes of all files of one request together."""
    max_pixels: int = 40_000_000
    """Width times height of one image, as its header states them."""
