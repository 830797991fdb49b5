"""Scoring: from shards and heads to predictions, in one Parquet file or a folder of several."""
