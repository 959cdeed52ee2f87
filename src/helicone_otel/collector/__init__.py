"""The OpenTelemetry Collector configuration, made from the dialects."""
