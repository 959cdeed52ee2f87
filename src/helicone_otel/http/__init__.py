"""Session headers on outgoing HTTP requests."""
