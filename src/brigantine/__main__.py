"""``python -m brigantine``: the same as the command ``brigantine``."""

from _brigantine_command import main

if __name__ == "__main__":
    raise SystemExit(main())
