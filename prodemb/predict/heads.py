"""Finding the heads in a folder."""

from collections.abc import Sequence
from pathlib import Path

from prodemb.core.errors import HeadError
from prodemb.heads.head import CARD_NAME, HeadCard, load_head
from prodemb.storage.desk import folder_to_read


def find_heads(heads: str | Path | Sequence[str | Path]) -> list[Path]:
    """The folders of the heads to predict with, one per target.

    Args:
        heads: the folder of a head, which may lie in a bucket, a folder of such folders, or several of either. Of
            several heads for a target, the one with the most right out-of-fold answers is taken, and of equals the
            first by name.

    Raises:
        HeadError: there is none, or one is damaged.
    """
    given = [folder_to_read(head) for head in ([heads] if isinstance(heads, str | Path) else heads)]
    found: dict[str, tuple[float, Path]] = {}
    for folder in [head for path in given for head in _heads_at(path)]:
        card = load_head(folder).card
        share = _out_of_fold(card)
        if card.target not in found or share > found[card.target][0]:
            found[card.target] = share, folder
    return [folder for _, folder in found.values()]


def _heads_at(folder: Path) -> list[Path]:
    below = [folder_to_read(path) for path in sorted(folder.iterdir())] if folder.is_dir() else []
    heads = [path for path in (folder, *below) if (path / CARD_NAME).is_file()]
    if not heads:
        raise HeadError(
            f"{folder}: no head here or one folder below; run `prodemb train-brand` or `prodemb train-category`"
        )
    return heads


def _out_of_fold(card: HeadCard) -> float:
    return 0.0 if card.evaluation is None else card.evaluation.out_of_fold or 0.0
