"""Scoring: from shards and heads to one Parquet file of predictions."""
