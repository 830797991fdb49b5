"""The sample: a generated catalog with rendered pictures, partners of different habits, and gold labels."""
