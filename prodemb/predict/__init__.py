"""Predictions straight from products: embedding and scoring with what has been learned, and nothing that learns."""
