"""Categories: what a head or the paths' own texts say of products, in the taxonomy, and how good that is."""
