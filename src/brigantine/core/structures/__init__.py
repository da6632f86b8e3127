"""Data structures that know nothing of messages: orders, tables, clocks, histograms."""
