"""What `helicone-otel demo` runs: an agent, and stand-ins for the world around it."""
