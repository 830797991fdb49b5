"""The Google product taxonomy: its nodes, their tree, gold categories resolved in it, and metrics."""
