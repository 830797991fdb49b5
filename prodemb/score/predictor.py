"""What predicts one target of a catalog, and how it is read from a head's folder."""

from pathlib import Path

from prodemb.brand.predict import BrandPredictor
from prodemb.brand.store import load_fuser
from prodemb.category.predict import CategoryPredictor
from prodemb.category.store import load_voices
from prodemb.category.zero_shot import ZeroShot
from prodemb.heads.head import load_head

Predictor = BrandPredictor | CategoryPredictor | ZeroShot


def load_predictor(folder: Path) -> BrandPredictor | CategoryPredictor:
    """Read a head's folder with everything that it predicts with.

    Raises:
        HeadError: the folder holds no head, or a damaged or incomplete one.
    """
    head = load_head(folder)
    match head.card.target:
        case "brand":
            return BrandPredictor(head=head, fuser=load_fuser(folder, card=head.card))
        case "category":
            return load_voices(folder, head=head)
