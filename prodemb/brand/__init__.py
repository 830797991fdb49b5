"""Brands: labels, one brand per product predicted from its supplied brand, its title and a head, and its evaluation."""
