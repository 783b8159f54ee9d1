"""Which files of an execution a model is shown as they are, beside the text that was read of them."""

from __future__ import annotations

from collections.abc import Iterable

from service.definitions.context import AttachedFile, FileReference
from tasks.llm.protocol import Profile

IMAGES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
PDF = "application/pdf"
MAX_SHOWN = 20
MAX_IMAGE_SIDE = 8000
"""Pixels: providers refuse a request with a larger image, whatever its bytes."""
MAX_IMAGE_BYTES = 3_900_000
"""Providers take images of up to 5 MB in Base64, which makes four bytes of three."""


def shown(files: Iterable[AttachedFile], profile: Profile) -> tuple[FileReference, ...]:
    """The files that a model of this profile sees, in the order in which they were sent."""
    references = [file.reference for file in files if file.reference is not None]
    return tuple(reference for reference in references if is_seen(reference, profile))


def is_seen(reference: FileReference, profile: Profile) -> bool:
    """Whether a model of this profile can be shown the file."""
    if reference.content_type == PDF:
        return profile.sees_pdfs
    return profile.sees_images and reference.content_type in IMAGES


def can_be_shown(content_type: str, size_bytes: int, *, bytes_left: int, shown_already: int) -> bool:
    """Whether any model could be shown such a file beside those that are shown already."""
    is_small = size_bytes <= MAX_IMAGE_BYTES if content_type in IMAGES else content_type == PDF
    return is_small and size_bytes <= bytes_left and shown_already < MAX_SHOWN
