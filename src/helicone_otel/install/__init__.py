"""Adds the library to an app: `configure()`, the entry points, and the functions that they wrap."""
