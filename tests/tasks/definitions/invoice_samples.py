"""An invoice, what is read from it, and the receipt that comes of it."""

from __future__ import annotations

from typing import Any

from agentic import AttachedFile
from service.definitions.context import FileReference

TEXT = """\
ACME Trading GmbH                                   Invoice R-2026/17
                                                    12 March 2026
Article                  Qty    Price      Amount
Mug, blue                 24     2.50       60.00
Tea pot 1.2 l              3    11.35       34.05
Gift box                  10     0.99        9.90
Freight                                      5.00
Discount                                    -2.00
VAT 19 %                                    20.32
Total EUR                                  127.27
"""
PAPER = AttachedFile("invoice.pdf", "application/pdf", TEXT)
SCAN = AttachedFile(
    "scan.pdf",
    "application/pdf",
    problem="its pages hold no text",
    reference=FileReference(blob_id=1, filename="scan.pdf", content_type="application/pdf", size_bytes=9, sha256=""),
)
MUG = {"sku": "MUG-1", "description": "Mug, blue", "quantity": 24, "unit_price": "2.50", "amount": "60.00"}
POT = {"sku": "POT-1", "description": "Tea pot", "quantity": 3, "unit_price": "11.35", "amount": "34.05"}
BOX = {"sku": "", "description": "Gift box", "quantity": 10, "unit_price": "0.99", "amount": "9.90"}
FREIGHT = {"sku": "", "description": "Freight", "quantity": None, "unit_price": None, "amount": "5.00"}
DISCOUNT = {"sku": "", "description": "Discount", "quantity": None, "unit_price": None, "amount": "-2.00"}
READ: dict[str, Any] = {
    "supplier": "ACME Trading GmbH",
    "number": "R-2026/17",
    "issued_on": "2026-03-12",
    "currency": "EUR",
    "lines": [MUG, POT],
    "unmatched": [BOX, FREIGHT, DISCOUNT],
    "net": "106.95",
    "tax": "20.32",
    "total": "127.27",
}
RECEIVED: dict[str, Any] = {**READ, "receipt": "1"}
