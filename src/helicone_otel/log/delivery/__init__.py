"""Sends rows to Helicone's log API."""
