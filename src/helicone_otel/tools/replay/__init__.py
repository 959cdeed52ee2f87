"""Reads recorded spans, replays them through the library, and explains their labels."""
