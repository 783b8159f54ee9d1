"""How long things are kept: contents and executions per data set, and daily totals that outlive both."""
