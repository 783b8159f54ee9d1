"""invoice-scanning: the goods of a supplier's invoice added to the stock, once."""

from tasks.definitions.invoice_scanning.definition import invoice_scanning

__all__ = ["invoice_scanning"]
