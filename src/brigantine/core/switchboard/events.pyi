# Places by name, for the check in __init__.py alone.
