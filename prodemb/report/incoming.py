"""What came in: rows, products, and which features each partner sent."""

import numpy as np

from prodemb.core.features import DERIVED, PARTNER, Feature
from prodemb.report.summary import Incoming, Presence
from prodemb.shards.reader import ShardSet

MAX_PARTNERS = 40


def incoming(shard_set: ShardSet) -> Incoming:
    """What a shard set says of the catalog that it was made from."""
    manifest = shard_set.manifest
    partners = shard_set.coded(PARTNER)
    names: list[str | None] = [*partners.values, None]
    totals = np.bincount(partners.codes % len(names), minlength=len(names))
    present: dict[Feature, list[float]] = {
        feature: np.bincount(
            partners.codes % len(names), weights=shard_set.present(feature), minlength=len(names)
        ).tolist()
        for feature in shard_set.schema.features
        if feature not in DERIVED
    }
    order = [int(index) for index in np.argsort(-totals, kind="stable") if totals[index]]
    return Incoming(
        catalog=manifest.catalog,
        num_rows=manifest.num_rows,
        num_products=manifest.num_products,
        skipped_rows=dict(manifest.skipped_rows),
        missing={
            feature: reasons
            for feature, reasons in manifest.null_counts().items()
            if reasons and feature not in DERIVED
        },
        presence=tuple(
            Presence(
                partner=names[index],
                num_products=int(totals[index]),
                shares={feature: counts[index] / float(totals[index]) for feature, counts in present.items()},
            )
            for index in order[:MAX_PARTNERS]
        ),
        num_partners=len(partners.values),
    )
