"""Tools for developers. The library never imports them, except doctor() and the pytest plugin."""
