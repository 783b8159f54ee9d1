"""What accounts, agents and providers are held to: rows that an operator changes, read by the next start and claim."""
