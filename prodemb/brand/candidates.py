"""The candidates for a product's brand, and what speaks for each of them, as numbers."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from prodemb.brand.head_output import HeadSays
from prodemb.brand.model import Floats
from prodemb.brand.names import NO_NAME, Ids, Said

VOICES: dict[str, float] = {
    "head": 0.5,
    "head without the supplied brand": 0.5,
    "head: is its best": 0.0,
    "head: is a class": 1.0,
    "head: where the title names none": 0.2,
    "supplied": 2.0,
    "supplied: how often it is right": 0.5,
    "supplied: was not known before": -0.5,
    "supplied: is no class": 0.0,
    "supplied: stands in the title": 2.0,
    "supplied: where there is no title": 0.5,
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

_LEAST_ODDS = -4.0
"""Log odds of a title's name that nothing speaks for."""

Spoken = dict[str, npt.NDArray[np.generic]]
"""By voice: (n, K) how much it says for each candidate."""


@dataclass(frozen=True, kw_only=True)
class Candidates:
    """The candidates of n products; the last of the K is always there and says that it is none of them."""

    names: Ids
    """(n, K) numbers of names, -1 for the last."""
    valid: npt.NDArray[np.bool_]
    """(n, K) which there are; a name that two sources give is there once."""
    inputs: Floats
    """(n, K, P) what speaks for each, in the order of `VOICES`."""

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


@dataclass(frozen=True, kw_only=True)
class _Listed:
    """The names of all candidates, and what is asked of them more than once."""

    names: Ids
    """(n, K)."""
    is_class: npt.NDArray[np.bool_]
    """(n, K)."""
    is_supplied: npt.NDArray[np.bool_]
    """(n, K)."""
    in_title: npt.NDArray[np.bool_]
    """(n, K, T) which of the title's names each one is."""


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
    supplied, titled = said.supplied[:, None], said.titles.names
    names = np.concatenate([supplied, titled, head.best, np.full_like(supplied, NO_NAME)], axis=1)
    earlier = np.tril(np.ones((names.shape[1], names.shape[1]), dtype=np.bool_), k=-1)
    repeated = ((names[:, :, None] == names[:, None, :]) & earlier).any(axis=2)
    valid = (names >= 0) & ~repeated
    valid[:, -1] = True
    listed = _Listed(
        names=names,
        is_class=(names >= 0) & (names < num_classes),
        is_supplied=(names == supplied) & (names >= 0),
        in_title=(names[:, :, None] == titled[:, None, :]) & (names >= 0)[..., None],
    )
    odds = title_odds[np.where(titled >= 0, np.minimum(titled, len(title_odds) - 1), -1)]
    spoken = (
        _head_voices(listed, said=said, head=head)
        | _supplied_voices(listed, said=said, head=head, odds=supplied_odds, title_odds=odds)
        | _title_voices(listed, said=said, num_classes=num_classes, odds=odds)
        | _none_voices(listed, said=said, head=head)
    )
    assert spoken.keys() == VOICES.keys()
    inputs = np.stack([np.broadcast_to(spoken[voice], names.shape) for voice in VOICES], axis=2, dtype=np.float32)
    return Candidates(names=names, valid=valid, inputs=inputs)


def _head_voices(listed: _Listed, *, said: Said, head: HeadSays) -> Spoken:
    logs = np.concatenate([head.asked_log, head.best_log], axis=1)
    logs = np.concatenate([logs, np.zeros_like(logs[:, :1])], axis=1)
    return {
        "head": logs[..., 0],
        "head without the supplied brand": logs[..., 1],
        "head: is its best": (listed.names == head.first[:, None]) & (listed.names >= 0),
        "head: is a class": listed.is_class,
        "head: where the title names none": logs[..., 1] * ~_names_some(said),
    }


def _supplied_voices(listed: _Listed, *, said: Said, head: HeadSays, odds: Floats, title_odds: Floats) -> Spoken:
    own = odds[np.where(said.supplied >= 0, np.minimum(said.supplied, len(odds) - 1), -1)]
    unsaid = listed.in_title | (said.titles.alone() < 0)[:, None, :]
    other = np.where(unsaid, _LEAST_ODDS, title_odds[:, None, :]).max(axis=2, initial=_LEAST_ODDS)
    another = np.where(listed.names == head.first[:, None], 0.0, head.sure[:, None])
    here = listed.is_supplied
    return {
        "supplied": here,
        "supplied: how often it is right": here * own[:, None],
        "supplied: was not known before": here & ~said.is_known[:, None],
        "supplied: is no class": here & ~listed.is_class,
        "supplied: stands in the title": here & said.in_title[:, None],
        "supplied: where there is no title": here & ~said.has_title[:, None],
        "supplied: how sure the head is of another": here * another,
        "supplied: how sure the title is of another": here * (other - _LEAST_ODDS),
    }


def _title_voices(listed: _Listed, *, said: Said, num_classes: int, odds: Floats) -> Spoken:
    here = listed.in_title.any(axis=2)
    begins = listed.in_title & (said.titles.inside >= 0)[:, None, :]
    best = np.where(listed.in_title, odds[:, None, :], -np.inf).max(axis=2, initial=-np.inf)
    return {
        "title": here,
        "title: how often it is right": np.where(here, best, 0.0),
        "title: at its start": (listed.in_title & (said.titles.places == 0)[:, None, :]).any(axis=2),
        "title: is no class": here & ~listed.is_class,
        "title: begins a longer name": begins.any(axis=2),
        "title: begins a longer name that is no class": (begins & (said.titles.inside >= num_classes)[:, None, :]).any(
            axis=2
        ),
        "title: where no brand is supplied": here & (said.supplied < 0)[:, None],
    }


def _none_voices(listed: _Listed, *, said: Said, head: HeadSays) -> Spoken:
    none = np.zeros(listed.names.shape, dtype=np.bool_)
    none[:, -1] = True
    return {
        "none": none,
        "none: where no brand is supplied": none & (said.supplied < 0)[:, None],
        "none: where the title names none": none & ~_names_some(said),
        "none: how sure the head is": none * head.sure[:, None],
    }


def _names_some(said: Said) -> npt.NDArray[np.bool_]:
    """(n, 1) whether the title names any brand."""
    return np.asarray((said.titles.names >= 0).any(axis=1, keepdims=True))


def said_classes(said: Said, *, num_classes: int) -> Ids:
    """The classes among what supplied brands and titles name, (n, A); -1 for other names."""
    named = np.concatenate([said.supplied[:, None], said.titles.names], axis=1)
    return np.where(named < num_classes, named, NO_NAME)
