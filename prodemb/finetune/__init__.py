"""Fine-tuning the category path: a contrastive job that writes a new checkpoint."""
