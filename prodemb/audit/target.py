"""Auditing one target: all products through predictors that have not learned from them, and what that finds."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import polars as pl

from prodemb.audit.confident import find_label_errors
from prodemb.audit.findings import Findings, KindAudit, Reason
from prodemb.audit.judge import Auditor, Judged
from prodemb.audit.meaning import CATEGORIES
from prodemb.core.arrays import NO_ANSWER, Floats, Indices
from prodemb.core.features import raw_column
from prodemb.core.progress import ProgressCallback
from prodemb.heads.labels import Target
from prodemb.shards.product_set import ProductSet, read_products
from prodemb.shards.reader import ShardSet

SUPPLIED_COLUMNS: dict[Target, tuple[str, ...]] = {"brand": (raw_column("brand"),), "category": CATEGORIES}
"""What partners sent."""
_ROWS_AT_A_TIME = 8192


@dataclass(frozen=True, kw_only=True)
class Part:
    """Some products and a predictor that has learned from none of them."""

    rows: Indices
    """(m,) their rows in the shard set, ascending."""
    auditor: Auditor
    learned: npt.NDArray[np.bool_]
    """(m,) whether it has learned from enough products with the same label."""


def audit_target(
    shard_set: ShardSet,
    *,
    target: Target,
    parts: Sequence[Part],
    gold: Indices,
    sources: tuple[str, ...],
    why_outside: Reason = "few labels",
    on_progress: ProgressCallback | None = None,
) -> tuple[KindAudit, KindAudit]:
    """Audit the supplied values and the gold labels of one target.

    Memory grows with the labelled products, by their top answers, and with what is found.

    Args:
        parts: each product in one of them at most; values of products in none are not audited.
        gold: (n,) the id of each product's gold label; -1 where it has none.
        sources: the voices of all auditors.
        why_outside: why some products are in no part.
        on_progress: called with the products done and how many there are.
    """
    supplied, labelled = (_Collected.of(shard_set.num_products) for _ in range(2))
    outside = np.ones(shard_set.num_products, dtype=np.bool_)
    for part in parts:
        outside[part.rows] = False
        for some, products in _chunks(shard_set, part=part):
            rows, judged = part.rows[some], part.auditor.judge(products)
            supplied.take_supplied(part.auditor, products, rows=rows, judged=judged, target=target)
            labels = np.where(part.learned[some], gold[rows], NO_ANSWER)
            labelled.take_gold(part.auditor, products, rows=rows, judged=judged, labels=labels)
            if on_progress:
                on_progress(int((~outside).sum()), shard_set.num_products)
        labelled.skipped["few alike"] += int((~part.learned & (gold[part.rows] != NO_ANSWER)).sum())
    supplied.skipped[why_outside] += int(outside.sum())
    labelled.skipped[why_outside] += int((outside & (gold != NO_ANSWER)).sum())
    labelled.skipped["no value"] += int((gold == NO_ANSWER).sum())
    return (
        KindAudit(
            target=target,
            kind="supplied",
            findings=supplied.findings(),
            sources=sources,
            audited=supplied.audited,
            skipped=dict(+supplied.skipped),
        ),
        KindAudit(
            target=target,
            kind="gold",
            findings=_label_errors(labelled),
            sources=sources,
            audited=labelled.audited,
            skipped=dict(+labelled.skipped),
        ),
    )


def _chunks(shard_set: ShardSet, *, part: Part) -> Iterator[tuple[slice, ProductSet]]:
    for start in range(0, len(part.rows), _ROWS_AT_A_TIME):
        some = slice(start, start + _ROWS_AT_A_TIME)
        yield some, read_products(shard_set, features=part.auditor.features, rows=part.rows[some])


@dataclass(frozen=True, kw_only=True)
class _Collected:
    """What is collected of one kind of values, chunk by chunk."""

    audited: npt.NDArray[np.int32]
    """As in `KindAudit`."""
    skipped: Counter[Reason] = field(default_factory=Counter)
    found: list[Findings] = field(default_factory=lambda: [Findings.none()])
    answers: list[tuple[Indices, Floats, Indices, Floats]] = field(default_factory=list)
    """Of gold labels: rows (m,), self-confidences (m,), contradicting answers (m, k) and their probabilities."""

    @classmethod
    def of(cls, num_products: int) -> "_Collected":
        return cls(audited=np.full(num_products, NO_ANSWER, dtype=np.int32))

    def findings(self) -> Findings:
        return Findings.concat(self.found)

    def take_supplied(
        self, auditor: Auditor, products: ProductSet, *, rows: Indices, judged: Judged, target: Target
    ) -> None:
        """Keep the products whose supplied value is contradicted."""
        has_value = _has_value(products.supplied, columns=SUPPLIED_COLUMNS[target])
        answered = judged.answers[:, 0] != NO_ANSWER
        audited = has_value & answered & (judged.supplied != NO_ANSWER)
        self.skipped["no value"] += int((~has_value).sum())
        self.skipped["no answer"] += int((has_value & ~answered).sum())
        self.skipped["no meaning"] += int((has_value & answered & ~audited).sum())
        self.audited[rows[audited]] = judged.supplied[audited]
        found = np.flatnonzero(audited & (judged.suggestions != NO_ANSWER))
        if len(found):
            self.found.append(
                Findings(
                    rows=rows[found],
                    given=judged.supplied[found],
                    given_confidences=judged.supplied_confidences[found],
                    suggestions=judged.suggestions[found],
                    confidences=judged.confidences[found],
                    sources=judged.sources[found],
                    evidence=auditor.evidence(products.take(found)),
                )
            )

    def take_gold(
        self, auditor: Auditor, products: ProductSet, *, rows: Indices, judged: Judged, labels: Indices
    ) -> None:
        """Keep the top answers of labelled products, and the evidence where the label is not the likeliest.

        Only these can be errors; which of them are is known when all have been seen.

        Args:
            labels: (n,) ids; -1 where there is no label, or none that can be audited.
        """
        own = np.flatnonzero(labels != NO_ANSWER)
        labels, answers, probabilities = labels[own], judged.answers[own], judged.probabilities[own]
        contradicts = auditor.contradicts(answers, labels)
        self_confidences = (probabilities * ~contradicts).sum(axis=1)
        self.audited[rows[own]] = labels
        self.answers.append((rows[own], self_confidences, np.where(contradicts, answers, NO_ANSWER), probabilities))
        doubtful = np.flatnonzero((probabilities * contradicts).max(axis=1, initial=0) > self_confidences)
        if len(doubtful):
            some = own[doubtful]
            self.found.append(
                Findings(
                    rows=rows[some],
                    given=labels[doubtful],
                    given_confidences=self_confidences[doubtful],
                    suggestions=np.full(len(doubtful), NO_ANSWER),
                    confidences=np.zeros(len(doubtful), np.float32),
                    sources=judged.sources[some],
                    evidence=auditor.evidence(products.take(some)),
                )
            )


def _has_value(supplied: pl.DataFrame, *, columns: Sequence[str]) -> npt.NDArray[np.bool_]:
    """(n,) whether a product has text in any of these columns."""
    texts = [pl.col(column).fill_null("").str.strip_chars() != "" for column in columns]
    return supplied.select(pl.any_horizontal(texts)).to_series().to_numpy()


def _label_errors(collected: _Collected) -> Findings:
    """Those of the doubtful labels that are errors by confident learning."""
    doubtful = collected.findings()
    if not len(doubtful):
        return doubtful
    rows, self_confidences, others, probabilities = map(np.concatenate, zip(*collected.answers, strict=True))
    errors = find_label_errors(
        collected.audited[rows], self_confidences=self_confidences, others=others, probabilities=probabilities
    )
    order = np.argsort(doubtful.rows)
    kept = doubtful.take(order[np.searchsorted(doubtful.rows, rows[errors.rows], sorter=order)])
    return replace(kept, suggestions=errors.suggestions, confidences=errors.confidences)
