"""Confidence: evidence fused into one probability, how well it is calibrated, and what can be promised by it."""
