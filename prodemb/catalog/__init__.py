"""Catalogs: feeds of any format, the products that their rows make, and the pictures of these."""
