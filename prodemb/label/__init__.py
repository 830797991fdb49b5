"""Labels to begin with: which products are worth a label, and the file in which people give them."""
