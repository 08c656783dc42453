"""Pictures in, anomalies out: decoding, motion gate, YOLO, rules. Knows nothing of the hub."""
