"""What is this span? Pure functions and tables, without OpenTelemetry."""
