"""The published limits on the files of one request."""

from __future__ import annotations

from dataclasses import dataclass

from service.settings import Settings

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class FileLimits:
    """What one request may carry; the settings say how much."""

    max_files: int
    max_file_bytes: int
    max_total_bytes: int
    max_pixels: int
    """Width times height of one image, as its header states them."""

    @classmethod
    def of(cls, settings: Settings) -> FileLimits:
        return cls(
            max_files=settings.max_files,
            max_file_bytes=settings.max_file_bytes,
            max_total_bytes=settings.max_upload_bytes,
            max_pixels=settings.max_image_pixels,
        )
