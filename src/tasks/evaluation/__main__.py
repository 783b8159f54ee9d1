"""`python -m tasks.evaluation`: what `agentic eval` runs."""

from tasks.evaluation.command import main

if __name__ == "__main__":
    main()
