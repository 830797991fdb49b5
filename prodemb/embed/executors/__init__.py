"""Who makes the shards of a run: this process, several processes, or the workers of a Ray cluster."""
