"""What invoice-scanning and order-intake share: papers of trade as text, and holding what was read against them."""
