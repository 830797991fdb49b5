"""The model card of the bundled checkpoint."""

from pathlib import Path

from prodemb.core.files import write_text

_CARD = """\
---
license: apache-2.0
library_name: transformers
tags: [clip, product, tiny]
---
# prodemb tiny CLIP

A CLIP of about two million parameters (64 pixels, patch 16, 4 + 4 layers, 32 tokens, 128 numbers) that ships with
prodemb, so that its whole job runs without a network. It learnt from {num_products:,} invented products with drawn
pictures (`prodemb sample`, seed {seed}, {passes:g} passes): titles were matched with pictures, and both with the latent
semantic analysis of the product's texts. No gold label was used. It knows the sample's world and little else: for real
work choose a published CLIP or SigLIP.

- tokenizer: byte-level BPE, lower case, no accents; the end token has the largest id and stands in the config
- made by: `python -m prodemb.bundled.pretrain`
- use: `AutoModel.from_pretrained(folder)`, `AutoProcessor.from_pretrained(folder)`
"""


def write_card(folder: Path, *, num_products: int, passes: float, seed: int) -> None:
    """Write `README.md` into the checkpoint folder."""
    write_text(folder / "README.md", _CARD.format(num_products=num_products, passes=passes, seed=seed))
