"""Cards: a README.md for people in each shard set, head and checkpoint that prodemb makes."""
