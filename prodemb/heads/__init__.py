"""Heads: from labelled vectors of a shard set to a trained head, beside its baselines."""
