"""A Helicone on loopback: its gateway, its log API, its OTLP doors and the queries that read back, over one store."""
