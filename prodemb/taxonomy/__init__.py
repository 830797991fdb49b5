"""The Google product taxonomy: its nodes, the tree they form, and gold categories held against it."""
