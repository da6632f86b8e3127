"""The load generator: clients and workers in great number."""
