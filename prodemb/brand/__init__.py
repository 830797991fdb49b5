"""Fusing what the supplied brand, the title and the head say into one brand with one confidence."""
