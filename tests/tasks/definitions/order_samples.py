"""A purchase order, what is read from it, and the order that comes of it."""

from __future__ import annotations

from typing import Any

from agentic import AttachedFile
from service.definitions.context import FileReference

TEXT = """\
Purchase order PO-2026/41 of Café Nord, Kiel
Date: 2 March 2026. Please deliver by 12.03.2026.
Pos  Article               Qty   Price    Amount
1    Mug, blue (your MUG)   24   4,90 €   117,60 €
2    Tea pot 1.2 l           2
"""
PAPER = AttachedFile("order.txt", "text/plain", TEXT)
SCAN = AttachedFile(
    "scan.png",
    "image/png",
    problem="it is an image, and images are not read as text",
    reference=FileReference(blob_id=1, filename="scan.png", content_type="image/png", size_bytes=9, sha256=""),
)
MUG = {"sku": "MUG-1", "description": "Mug, blue", "quantity": 24, "unit_price": "4.90", "amount": "117.60"}
POT = {"sku": "POT-1", "description": "Tea pot", "quantity": 2}
READ = {
    "buyer": "Café Nord",
    "reference": "PO-2026/41",
    "currency": "EUR",
    "requested_on": "2026-03-12",
    "lines": [MUG, POT],
}
PLACED: dict[str, Any] = {
    "number": "1",
    **READ,
    "lines": [
        {"sku": "MUG-1", "description": "Mug, blue", "quantity": 24, "unit_price": "4.90"},
        {"sku": "POT-1", "description": "Tea pot", "quantity": 2, "unit_price": "18.50"},
    ],
    "price_differences": [{"sku": "MUG-1", "ordered": "4.90", "catalogue": "5.20"}],
}
