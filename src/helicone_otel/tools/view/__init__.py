"""See the session: a local view of what arrives as OpenTelemetry spans and as Helicone's log rows."""
