"""Heads: training on the labelled vectors of a shard set, and the evaluation beside baselines."""
