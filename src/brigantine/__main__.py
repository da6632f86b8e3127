"""``python -m brigantine``: the same as the command ``brigantine``."""

from .cli import command

if __name__ == "__main__":
    raise SystemExit(command())
