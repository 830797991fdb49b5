"""Predictions over HTTP: products in, the columns of the predictions file out."""
