"""order-intake: one order placed from a purchase order, once."""

from tasks.definitions.order_intake.definition import order_intake

__all__ = ["order_intake"]
