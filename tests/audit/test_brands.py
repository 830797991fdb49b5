"""Ids of brands that are the same for all predictors."""

import numpy as np

from prodemb.audit.brands import BrandIds


def test_names_with_one_key_share_an_id_whatever_their_number_elsewhere() -> None:
    ids = BrandIds(["Nike", "Puma"])
    assert ids.of(np.array([[2, 0], [-1, 2]]), names=["PUMA", "unused", "Lumo"]).tolist() == [[2, 1], [-1, 2]]
    assert ids.of(np.array([0, 1]), names=["lumo", "NIKE"]).tolist() == [2, 0]
    assert ids.names == ["Nike", "Puma", "Lumo"]
