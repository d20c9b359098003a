"""From an OTLP export of traces to events: body → spans → dialect → events → rows."""
