"""Conditions: a withheld brand is gone, a wrong one is another product's and not the true one."""

from prodemb.brand.conditions import WITHHELD, WRONG, brand_conditions, true_names
from prodemb.brand.labels import BrandLabels
from prodemb.brand.predict import Fuser
from prodemb.heads.train import Labelled
from prodemb.shards.product_set import read_products


def test_wrong_brands_are_wrong(data: Labelled[BrandLabels], fuser: Fuser) -> None:
    rows = data.rows[data.inside(0)]
    products = read_products(data.shard_set, features=data.features, rows=rows)
    truth = fuser.names.ids_of(true_names(data, rows=rows))
    seen = dict(brand_conditions(products, truth=truth, fuser=fuser, seed=0))
    assert seen[WITHHELD].supplied["raw_brand"].null_count() == len(rows)
    assert not seen[WITHHELD].present[:, data.features.index("brand")].any()
    canonical = fuser.canonical_ids(seen[WRONG].supplied["raw_brand"])
    assert (canonical >= 0).all()
    assert (canonical != truth).all()
    assert seen[WRONG].present[:, data.features.index("brand")].all()
