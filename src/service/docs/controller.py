"""/api/schema.json and its page at /api/docs/, whose every byte comes from here."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from typing import Annotated, Any

from litestar import Controller, Response, get
from litestar.params import PathParameter

from service.accounts.gate import AccountRequest
from service.errors import NotFound, ServiceError
from service.openapi import openapi_document
from service.provided import Registry

ASSETS = {
    "swagger-ui.css": "text/css",
    "swagger-ui-bundle.js": "text/javascript",
    "start.js": "text/javascript",
    "favicon-32x32.png": "image/png",
}
"""The files that the page loads, beside this module."""

# The page of the bundled UI could fetch from elsewhere; the browser is told to refuse. Its styles and icons are inline.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:;"
    " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {"Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Agentic executions: the API</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="/api/docs/favicon-32x32.png">
<link rel="stylesheet" href="/api/docs/swagger-ui.css">
</head>
<body>
<div id="api"></div>
<noscript>The document itself is at <a href="/api/schema.json">/api/schema.json</a>.</noscript>
<script src="/api/docs/swagger-ui-bundle.js"></script>
<script src="/api/docs/start.js"></script>
</body>
</html>
"""


class DocsController(Controller):
    """The document, the page and what the page loads."""

    def __init__(self, owner: Any) -> None:
        super().__init__(owner)
        self._document: dict[str, Any] | None = None

    @get("/api/schema.json")
    async def document(self, request: AccountRequest, registry: Registry) -> dict[str, Any]:
        """The OpenAPI document, made once."""
        if self._document is None:
            self._document = openapi_document(request.app, registry)
        return self._document

    @get("/api/docs/")
    async def page(self) -> Response[bytes]:
        """The page."""
        return Response(PAGE.encode(), media_type="text/html", headers=HEADERS)

    @get("/api/docs/errors/{code:str}")
    async def error_type(self, code: Annotated[str, PathParameter()]) -> dict[str, str | int]:
        """What the `type` of an error leads to. Raises NotFound for a code that there is not."""
        known = {error.code: error for error in _error_types(ServiceError)}
        if code not in known:
            raise NotFound
        error = known[code]
        return {"code": code, "status": error.status, "title": error.title, "meaning": error.__doc__ or ""}

    @get("/api/docs/{name:str}")
    async def asset(self, name: Annotated[str, PathParameter()]) -> Response[bytes]:
        """A file of the page. Raises NotFound for any other name."""
        if name not in ASSETS:
            raise NotFound
        data = files("service.docs").joinpath("assets", name).read_bytes()
        return Response(data, media_type=ASSETS[name], headers={**HEADERS, "Cache-Control": "max-age=3600"})


def _error_types(root: type[ServiceError]) -> Iterator[type[ServiceError]]:
    yield root
    for kind in root.__subclasses__():
        yield from _error_types(kind)
