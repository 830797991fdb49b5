"""Findings: values that answers contradict, and what was audited beside them."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Literal

import numpy as np
import numpy.typing as npt

from prodemb.audit.judge import NUM_NEAREST, Evidence
from prodemb.core.arrays import Floats, Indices
from prodemb.heads.labels import Target

Kind = Literal["supplied", "gold"]
"""What is audited: what partners sent, or the gold labels."""

Reason = Literal["few labels", "fine-tuned", "no value", "no meaning", "no answer", "few alike"]
"""Why a value was not audited: there are too few labels to learn from; the model of the
vectors was fine-tuned with the label; there is no value; it stands for nothing that is
known for certain; nothing is answered; or too few other products with the same label were learned from."""


@dataclass(frozen=True, kw_only=True)
class Findings:
    """m values that answers contradict."""

    rows: Indices
    """(m,) the rows of the products in the shard set."""
    given: Indices
    """(m,) the ids of what they are supplied or labelled with."""
    given_confidences: Floats
    """(m,) the probability of that, by the top answers."""
    suggestions: Indices
    """(m,) the ids of the answers."""
    confidences: Floats
    """(m,) the probability of these."""
    sources: Indices
    """(m,) the indices of the voices that decided."""
    evidence: Evidence

    @classmethod
    def none(cls) -> "Findings":
        """Nothing found."""
        ids, floats = np.zeros(0, np.int64), np.zeros(0, np.float32)
        near, cosines = np.zeros((0, NUM_NEAREST), np.int64), np.zeros((0, NUM_NEAREST), np.float32)
        return cls(
            rows=ids,
            given=ids,
            given_confidences=floats,
            suggestions=ids,
            confidences=floats,
            sources=ids,
            evidence=Evidence(rows=near, labels=near, cosines=cosines),
        )

    @classmethod
    def concat(cls, parts: "Sequence[Findings]") -> "Findings":
        """Several as one; at least one part."""
        arrays = {each.name: [getattr(part, each.name) for part in parts] for each in fields(cls)}
        evidence = Evidence.concat(arrays.pop("evidence"))
        return cls(evidence=evidence, **{name: np.concatenate(values) for name, values in arrays.items()})

    def take(self, numbers: Indices) -> "Findings":
        """Some of them, by their indices."""
        arrays = {name: values[numbers] for name, values in vars(self).items() if name != "evidence"}
        return Findings(evidence=self.evidence.take(numbers), **arrays)

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, kw_only=True)
class KindAudit:
    """The audit of one kind of values of one target."""

    target: Target
    kind: Kind
    findings: Findings
    sources: tuple[str, ...]
    """The voices that can decide."""
    audited: npt.NDArray[np.int32]
    """(n,) the id of the value of each product of the shard set; -1 where it was not audited."""
    skipped: dict[Reason, int]
    """Products that were not audited; none at 0."""
