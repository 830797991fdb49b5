"""The voices: what each kind of evidence says of a product's category, for a model to weigh against each other."""
