"""A server that reads forms and answers with the digests of their files; run with the number of a listening socket."""

from __future__ import annotations

import sys

import litestar
import uvicorn

from service.files.limits import FileLimits
from service.files.multipart import read_form
from service.responses import EXCEPTION_HANDLERS

LIMITS = FileLimits(max_files=10, max_file_bytes=300_000_000, max_total_bytes=300_000_000, max_pixels=1)


@litestar.post("/", request_max_body_size=None)
async def upload(request: litestar.Request[None, None, litestar.datastructures.State]) -> list[str]:
    async with read_form(
        request.stream(),
        content_type=request.headers.get("content-type", ""),
        content_length=request.content_length,
        limits=LIMITS,
        keep_files=True,
    ) as form:
        return [file.sha256.hex() for file in form.files]


if __name__ == "__main__":
    app = litestar.Litestar([upload], exception_handlers=EXCEPTION_HANDLERS, openapi_config=None, logging_config=None)
    uvicorn.run(app, fd=int(sys.argv[1]), log_level="error")
