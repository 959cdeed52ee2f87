"""The configuration of an OpenTelemetry Collector, made from the dialects."""
