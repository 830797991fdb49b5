"""Categories: labels, predictions of a head or zero-shot in the taxonomy, and their evaluation."""
