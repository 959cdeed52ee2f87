"""Adapters to OpenTelemetry: span processor, propagator, sampler, span exporter."""
