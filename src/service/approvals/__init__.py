"""Calls of tools that somebody has to approve: asked for by a run, which then waits, and decided over REST."""
