"""The taxonomy as a tree: where classes stand in it, and how near an answer is to the truth."""
