"""The inputs of the towers in one training step, with everything random in them drawn beforehand.

So any part of it can be encoded at any time, on any process, as often as wanted, and gives the same vectors.
"""

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from prodemb.finetune.augment import augment, dropping_patches
from prodemb.finetune.data import Pictures
from prodemb.towers.load import Towers

InputKind = Literal["paths", "texts", "fields", "images"]
"""Category paths, joined product texts, single fields, and pictures."""


class Items(Protocol):
    """The items of one kind that a step encodes."""

    def __len__(self) -> int: ...

    def encode(self, towers: Towers, part: slice) -> Tensor:
        """The vectors of the items in `part`, (k, d) float32, L2-normalised."""
        ...


@dataclass(frozen=True, kw_only=True)
class TextItems:
    """Texts as tokens."""

    token_lists: list[list[int]]

    def __len__(self) -> int:
        return len(self.token_lists)

    def encode(self, towers: Towers, part: slice) -> Tensor:
        token_ids, mask = towers.text.pad(self.token_lists[part])
        device = towers.device
        return towers.text_vectors(token_ids.to(device), None if mask is None else mask.to(device)).float()


@dataclass(frozen=True, kw_only=True)
class ImageItems:
    """Pictures, and how each is changed."""

    pictures: Pictures
    rows: npt.NDArray[np.int64]
    """(k,) the products they are of."""
    amounts: Tensor | None
    """(k, 7) the changes, or None for none; see `augment`."""
    patches: Tensor | None
    """(k, p) the patches that are kept, or None for all; see `dropping_patches`."""

    def __len__(self) -> int:
        return len(self.rows)

    def encode(self, towers: Towers, part: slice) -> Tensor:
        pixels = torch.from_numpy(self.pictures.pixels[self.rows[part]]).to(towers.device)
        if self.amounts is not None:
            pixels = augment(pixels, amounts=self.amounts[part])
        with dropping_patches(towers.model, None if self.patches is None else self.patches[part]):
            return towers.image_vectors(pixels).float()


@dataclass(frozen=True, kw_only=True)
class StepInputs:
    """A batch as input of the towers."""

    labels: npt.NDArray[np.int64]
    """(n,) the class of each product of the batch."""
    classes: npt.NDArray[np.int64]
    """(c,) the classes whose paths are encoded, ascending; the batch's own are among them."""
    items: dict[InputKind, Items]
    """What is encoded; kinds that no pair uses, or that no product has, are missing."""
    batch_rows: dict[InputKind, npt.NDArray[np.int64]]
    """For each kind except the paths, the row of the batch that each item is of, ascending."""
