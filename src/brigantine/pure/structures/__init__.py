"""Data structures that know nothing of messages, as in brigantine.core.structures."""
