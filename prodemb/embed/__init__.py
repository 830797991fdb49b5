"""Stage one: CLIP's towers over a catalog, into shards."""
