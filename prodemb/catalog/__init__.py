"""Catalogs of products: files and their columns, pictures, the Google taxonomy, brands, and a generated sample."""
