"""CLIP's two towers: loading a checkpoint, its fingerprint, text and picture preprocessing."""
