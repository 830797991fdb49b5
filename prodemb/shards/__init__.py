"""Shards: one Parquet file of vectors each, whose vector columns can be mapped into memory without a copy."""
