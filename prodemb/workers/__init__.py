"""Several workers at once, whatever they do: processes of this machine, or actors of a Ray cluster."""
