"""prodemb: one Google-taxonomy category and one canonical brand for every product, from CLIP embeddings."""

__version__ = "0.1.0"
