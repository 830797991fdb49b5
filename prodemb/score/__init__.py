"""Scoring: shards and heads in, one Parquet file of predictions out."""
