"""Checks of what a caller passes, so that a mistake is named at once."""
