"""catalog-enrichment: product details written from the files of an execution, and held to them."""

from tasks.definitions.catalog_enrichment.definition import enrichment

__all__ = ["enrichment"]
