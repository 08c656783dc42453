"""Rules: one anomaly a file, pure, time injected."""
