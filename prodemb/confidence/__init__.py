"""Confidence: how well it is calibrated, and what can be promised by it."""
