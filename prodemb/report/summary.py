"""The summary that a report shows, as data; how it looks is the page's business."""

from dataclasses import dataclass

import polars as pl

from prodemb.core.features import Feature
from prodemb.finetune.report import FinetuneReport
from prodemb.heads.head import HeadCard
from prodemb.heads.labels import Target


@dataclass(frozen=True, kw_only=True)
class Presence:
    """What one partner sent."""

    partner: str | None
    """None for products that nobody is named for."""
    num_products: int
    shares: dict[Feature, float]
    """Share of the products that have each feature."""


@dataclass(frozen=True, kw_only=True)
class Incoming:
    """What came in."""

    catalog: str
    num_rows: int
    num_products: int
    skipped_rows: dict[str, int]
    """Rows of the catalog that are no products, by reason."""
    missing: dict[Feature, dict[str, int]]
    """Products without each feature, by reason, the most frequent first."""
    presence: tuple[Presence, ...]
    """By partner, the largest first; one entry of None where the catalog names none."""
    num_partners: int
    """How many there are; `presence` may hold fewer."""


@dataclass(frozen=True, kw_only=True)
class RiskPoint:
    """What comes of answering only at and above a threshold, out of fold."""

    coverage: float
    """Share of the labelled products that are answered."""
    precision: float
    """Share of these answers that are right."""


@dataclass(frozen=True, kw_only=True)
class Learned:
    """What one head learned, and how good it is."""

    card: HeadCard
    is_fine_tuned: bool
    """Whether it is on the fine-tuned CLIP."""
    other: HeadCard | None
    """For categories, where there are two heads: the one on the other CLIP, which scoring does not use."""
    risk: tuple[RiskPoint, ...]
    """From few products and sure answers to all products."""
    largest_classes: tuple[tuple[str, int], ...]
    """The classes with the most labelled products."""


@dataclass(frozen=True, kw_only=True)
class Node:
    """One category with all below it."""

    name: str
    num_products: int
    """Answered with it or with a category below it."""
    num_own: int
    """Answered with it itself."""
    confidence: float | None
    """The mean of all these but those with a gold label; None where none is given."""
    children: tuple["Node", ...] = ()
    num_left_out: int = 0
    """Smaller categories right below it that are not listed."""


@dataclass(frozen=True, kw_only=True)
class BrandCount:
    """One brand of the answers."""

    name: str
    num_products: int
    confidence: float | None
    """The mean of all but those with a gold label; None where none is given."""


@dataclass(frozen=True, kw_only=True)
class Confusion:
    """Labelled products that a head answers with one and the same other label."""

    target: Target
    label: str
    answer: str
    num_products: int


@dataclass(frozen=True, kw_only=True)
class TargetOutcome:
    """What came out of one target, in products."""

    target: Target
    num_answered: int
    num_unanswered: int
    sources: dict[str, int]
    """By what decided, the most frequent first; without those of no answer."""
    bands: dict[str, int]
    """By band of confidence, the surest first; without those answered with their gold label."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came out."""

    predictions: str
    num_products: int
    targets: tuple[TargetOutcome, ...]
    tree: tuple[Node, ...]
    num_categories: int
    num_categories_left_out: int
    brands: tuple[BrandCount, ...]
    num_brands: int
    """Without UNKNOWN and UNBRANDED."""
    num_unbranded: int
    confusions: tuple[Confusion, ...]


@dataclass(frozen=True, kw_only=True)
class Merge:
    """A supplied brand that may belong to another one; a person decides."""

    supplied: str
    proposed: str
    rule: str
    score: float
    num_products: int
    titles: tuple[str, ...]
    """Of some products supplied with it."""
    proposed_titles: tuple[str, ...]
    """Of some products of the other brand."""


@dataclass(frozen=True, kw_only=True)
class Merges:
    """Brand merges that wait for a person's decision."""

    aliases: str
    """The file to decide them in."""
    num_merges: int
    merges: tuple[Merge, ...]


@dataclass(frozen=True, kw_only=True)
class Audit:
    """The surest findings of an audit."""

    source: str
    num_findings: int
    findings: pl.DataFrame
    """Some columns of `prodemb.audit.table.SCHEMA`, the surest first."""


VERDICTS = ("right", "wrong", "no answer", "no label")
"""What is said of an answer: it is the product's label, it is another one, there is none, or there is no label."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What is answered for one target of a product: where it has a gold label, the head's own first answer."""

    value: str | None
    """A brand, or a category's path; None where there is none."""
    confidence: float | None
    label: str | None
    """The gold label; None where it has none, or the answer is withheld."""
    verdict: str
    """One of `VERDICTS`."""


@dataclass(frozen=True, kw_only=True)
class Card:
    """One product of the gallery."""

    product_id: str
    partner: str | None
    title: str | None
    supplied_brand: str | None
    supplied_category: str | None
    category: Answer
    brand: Answer
    picture: str | None = None
    """A small JPEG as a data address."""
    no_picture: str | None = None
    """Why there is none."""


@dataclass(frozen=True, kw_only=True)
class StepTime:
    """What one step of a run cost."""

    name: str
    """The command that does the same on its own."""
    fine_tuned: bool
    """Whether it uses the fine-tuned CLIP."""
    seconds: float
    num_products: int | None = None
    """Products that it worked on; None where an earlier run had done it, or its time does not grow with them."""
    bottleneck: str | None = None
    """The part of it that limits the speed."""

    @property
    def rate(self) -> float | None:
        """Products per second."""
        return self.num_products / self.seconds if self.num_products and self.seconds > 0 else None


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Everything that a report shows."""

    version: str
    incoming: Incoming
    learned: tuple[Learned, ...]
    outcome: Outcome
    merges: Merges | None = None
    audit: Audit | None = None
    gallery: tuple[Card, ...] = ()
    finetune: FinetuneReport | None = None
    steps: tuple[StepTime, ...] = ()
    """What a run measured; empty where none did."""
