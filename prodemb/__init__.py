"""prodemb: one Google product category and one canonical brand for every product of a catalog, from CLIP embeddings.

The command line (`prodemb --help`) and these functions do the same work with the same code:

    open_catalog(path)                      a product feed
    embed(catalog, out)                     stage one: CLIP vectors of a catalog, as a shard set
    open_shards(folder)                     its vectors and values
    train(target, shards, out=...)          stage two: a head for brands or categories
    load_head(folder)                       a trained head
    score(shards, out, heads=[...])         predictions for every product, as Parquet
    Predictor.load(folder)                  heads and their CLIP in memory, for frames and single products
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prodemb.job.api import embed, load_head, open_catalog, open_shards, score, train
    from prodemb.predict.predictor import Predictor

__version__ = "0.1.0"

__all__ = ["Predictor", "embed", "load_head", "open_catalog", "open_shards", "score", "train"]

# Two functions have the name of a subpackage, and Python sets a subpackage as an attribute here when it first imports
# it. Imported now (they are empty), these two cannot replace the functions later.
for _name in ("embed", "score"):
    import_module(f"{__name__}.{_name}")
    del globals()[_name]


def __getattr__(name: str) -> Any:
    """Load the functions when they are first used: importing prodemb loads neither torch nor pyarrow nor polars."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = "predict.predictor" if name == "Predictor" else "job.api"
    found = globals()[name] = getattr(import_module(f"{__name__}.{home}"), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
