"""Canonical brands: every supplied string, the brand it stands for, and the decision behind it."""
