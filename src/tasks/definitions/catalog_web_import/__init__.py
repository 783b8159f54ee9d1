"""catalog-web-import: products read from pages of the web, written to the catalogue, and held to those pages."""

from tasks.definitions.catalog_web_import.definition import web_import

__all__ = ["web_import"]
