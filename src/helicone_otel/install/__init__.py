"""Adds the library to an app: configure(), entry points and the patches they need."""
