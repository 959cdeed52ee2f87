"""Rows for Helicone's log: calls that no gateway saw."""
