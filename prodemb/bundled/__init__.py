"""The tiny CLIP that ships with the package, so that the main job runs offline."""

from pathlib import Path

CLIP_FOLDER = Path(__file__).parent / "clip"
"""A Hugging Face checkpoint folder, at most 5 MB; `prodemb.bundled.pretrain` made it."""
