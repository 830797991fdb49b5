"""The candidates for a product's brand, and what speaks for each of them, as numbers."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from prodemb.brands.titles import MAX_FOUND
from prodemb.features import Feature
from prodemb.fuse.logit import Floats
from prodemb.fuse.names import NO_NAME, Ids, Said
from prodemb.heads import TrainedHead

NUM_FROM_HEAD = 5
"""Best classes of the head that are candidates, with the supplied brand's vector before it, and as many without."""

_DOUBT = 0.01
"""Added to every probability of the head: what it has not learned, it calls more unlikely than it knows."""

SPEAKERS: dict[str, float] = {
    "head": 0.5,
    "head without the supplied brand": 0.5,
    "head: is its best": 0.0,
    "head: is a class": 1.0,
    "supplied": 2.0,
    "supplied: how often it is right": 0.5,
    "supplied: was not known before": -0.5,
    "supplied: is no class": 0.0,
    "supplied: stands in the title": 2.0,
    "supplied: how sure the head is of another": -0.5,
    "supplied: how sure the title is of another": -0.2,
    "title": 1.0,
    "title: how often it is right": 1.0,
    "title: at its start": 1.0,
    "title: is no class": 0.0,
    "title: begins a longer name": -4.0,
    "title: begins a longer name that is no class": 2.0,
    "title: where no brand is supplied": 0.0,
    "none": -1.0,
    "none: where no brand is supplied": 0.5,
    "none: where the title names none": 1.0,
    "none: how sure the head is": -1.0,
}
"""What speaks for a candidate, and how much it counts before anything is learned."""


@dataclass(frozen=True, kw_only=True)
class HeadSays:
    """What the head says of n products, with all their vectors and without that of the supplied brand."""

    best: Ids
    """(n, 2 H) its best classes, with and then without; -1 where it has nothing to go by."""
    asked: Floats
    """(n, A, 2) log probabilities of the classes that were asked for, 0 where there is no class."""
    best_log: Floats
    """(n, 2 H, 2) those of `best`."""


@dataclass(frozen=True, kw_only=True)
class Candidates:
    """The candidates of n products; the last of the K is always there and says that it is none of them."""

    names: Ids
    """(n, K) numbers of names, -1 for the last."""
    valid: npt.NDArray[np.bool_]
    """(n, K) which there are; a name that two sources give is there once."""
    inputs: Floats
    """(n, K, P) what speaks for each, in the order of `SPEAKERS`."""

    @classmethod
    def joined(cls, parts: "Sequence[Candidates]") -> "Candidates":
        """Several lists as one, product after product."""
        return cls(
            names=np.concatenate([part.names for part in parts]),
            valid=np.concatenate([part.valid for part in parts]),
            inputs=np.concatenate([part.inputs for part in parts]),
        )

    def place_of(self, names: Ids) -> npt.NDArray[np.int64]:
        """Where each name stands among its product's candidates, (n,); the last place where it does not."""
        same = (self.names == names[:, None]) & self.valid
        same[:, -1] = True
        return np.asarray(same.argmax(axis=1))


@torch.inference_mode()
def ask_head(
    head: TrainedHead,
    *,
    vectors: npt.NDArray[np.float16],
    present: npt.NDArray[np.bool_],
    classes: Ids,
) -> HeadSays:
    """Ask the head for its best classes and for the probabilities of given ones.

    Args:
        vectors: (n, D), those of the features of the head's card side by side.
        present: (n, F).
        classes: (n, A) classes to tell the probability of, -1 for none.
    """
    without = present.copy()
    for column, feature in enumerate(head.card.features):
        if feature == _SUPPLIED:
            without[:, column] = False
    parts: list[HeadSays] = []
    for rows in head.batches(len(vectors)):
        asked = torch.from_numpy(classes[rows])
        logs = torch.stack(
            [
                head.log_probabilities(torch.from_numpy(vectors[rows]), present=torch.from_numpy(seen[rows]))
                for seen in (present, without)
            ],
            dim=-1,
        )
        num_best = min(NUM_FROM_HEAD, logs.shape[1])
        best = torch.cat([logs[..., way].topk(num_best, dim=1).indices for way in (0, 1)], dim=1).cpu()
        blind = ~torch.from_numpy(np.stack([present[rows].any(axis=1), without[rows].any(axis=1)], axis=1))
        best[blind.repeat_interleave(num_best, dim=1)] = NO_NAME
        parts.append(
            HeadSays(
                best=best.numpy(),
                asked=_gather(logs, asked, blind=blind),
                best_log=_gather(logs, best, blind=blind),
            )
        )
    return HeadSays(
        best=np.concatenate([part.best for part in parts]),
        asked=np.concatenate([part.asked for part in parts]),
        best_log=np.concatenate([part.best_log for part in parts]),
    )


_SUPPLIED: Feature = "brand"


def _gather(logs: torch.Tensor, classes: torch.Tensor, *, blind: torch.Tensor) -> Floats:
    """(n, A, 2) log probabilities of classes (n, A), softened; 0 where there is none or the head is blind."""
    index = classes.to(logs.device).clamp(min=0)[..., None].expand(-1, -1, 2)
    found = (logs.gather(1, index).exp() + _DOUBT).log().cpu()
    found[(classes < 0)[..., None] | blind[:, None, :]] = 0.0
    return np.asarray(found.numpy(), dtype=np.float32)


def list_candidates(
    said: Said, *, head: HeadSays, num_classes: int, supplied_odds: Floats, title_odds: Floats
) -> Candidates:
    """Every product's candidates and what speaks for each.

    Args:
        said: what supplied brands and titles name.
        head: its answers, where the classes asked for were `said_classes(said)`.
        supplied_odds: (m + 1,) log odds that a supplied name is right; the last is of names never met.
        title_odds: the same for names in titles.
    """
    supplied, titled = said.supplied, said.titles.names
    names = np.concatenate([supplied[:, None], titled, head.best, np.full((len(supplied), 1), NO_NAME)], axis=1)
    logs = np.concatenate([head.asked, head.best_log], axis=1)
    logs = np.concatenate([logs, np.zeros_like(logs[:, :1])], axis=1)
    earlier = np.tril(np.ones((names.shape[1], names.shape[1]), dtype=np.bool_), k=-1)
    repeated = ((names[:, :, None] == names[:, None, :]) & earlier).any(axis=2)
    valid = (names >= 0) & ~repeated
    valid[:, -1] = True

    is_supplied = (names == supplied[:, None]) & (names >= 0)
    in_title = (names[:, :, None] == titled[:, None, :]) & (names >= 0)[..., None]
    is_titled = in_title.any(axis=2)
    is_begin = in_title & (said.titles.inside >= 0)[:, None, :]
    is_class = (names >= 0) & (names < num_classes)
    met_odds = title_odds[np.where(titled >= 0, np.minimum(titled, len(title_odds) - 1), -1)]
    own_title = np.where(in_title, met_odds[:, None, :], -np.inf).max(axis=2, initial=-np.inf)
    other_title = np.where(in_title | (said.titles.alone() < 0)[:, None, :], -4.0, met_odds[:, None, :]).max(
        axis=2, initial=-4.0
    )
    best = head.best[:, head.best.shape[1] // 2]
    sure = np.where(best >= 0, np.exp(head.best_log[:, head.best.shape[1] // 2, 1]), 0.0)
    has_supplied, has_title = supplied >= 0, np.asarray((titled >= 0).any(axis=1))
    odds = supplied_odds[np.minimum(np.maximum(supplied, 0), len(supplied_odds) - 1)]
    none = np.zeros(names.shape, dtype=np.bool_)
    none[:, -1] = True
    spoken: dict[str, npt.NDArray[np.generic]] = {
        "head": logs[..., 0],
        "head without the supplied brand": logs[..., 1],
        "head: is its best": (names == best[:, None]) & (best >= 0)[:, None],
        "head: is a class": is_class,
        "supplied": is_supplied,
        "supplied: how often it is right": is_supplied * odds[:, None],
        "supplied: was not known before": is_supplied & ~said.is_known[:, None],
        "supplied: is no class": is_supplied & ~is_class,
        "supplied: stands in the title": is_supplied & said.in_title[:, None],
        "supplied: how sure the head is of another": is_supplied * np.where(names == best[:, None], 0.0, sure[:, None]),
        "supplied: how sure the title is of another": is_supplied * (other_title + 4.0),
        "title": is_titled,
        "title: how often it is right": np.where(is_titled, own_title, 0.0),
        "title: at its start": ((said.titles.places == 0)[:, None, :] & in_title).any(axis=2),
        "title: is no class": is_titled & ~is_class,
        "title: begins a longer name": is_begin.any(axis=2),
        "title: begins a longer name that is no class": (
            is_begin & (said.titles.inside >= num_classes)[:, None, :]
        ).any(axis=2),
        "title: where no brand is supplied": is_titled & ~has_supplied[:, None],
        "none": none,
        "none: where no brand is supplied": none & ~has_supplied[:, None],
        "none: where the title names none": none & ~has_title[:, None],
        "none: how sure the head is": none * sure[:, None],
    }
    assert list(spoken) == list(SPEAKERS)
    return Candidates(
        names=names,
        valid=valid,
        inputs=np.stack([values.astype(np.float32) for values in spoken.values()], axis=2),
    )


def said_classes(said: Said, *, num_classes: int) -> Ids:
    """The classes among what supplied brands and titles name, (n, 1 + `MAX_FOUND`); -1 for other names."""
    named = np.concatenate([said.supplied[:, None], said.titles.names], axis=1)
    assert named.shape[1] == 1 + MAX_FOUND
    return np.where(named < num_classes, named, NO_NAME)
