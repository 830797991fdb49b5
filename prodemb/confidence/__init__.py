"""Probabilities that can be acted on: fusing evidence into one, how well that is calibrated, and what can be promised."""
