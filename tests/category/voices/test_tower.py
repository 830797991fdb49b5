"""The tower's voice: the weighted mean cosine of a product's vectors with each name's, and nothing without any."""

from dataclasses import replace

import numpy as np
import torch

from prodemb.category.voices.tower import WEIGHTS, TowerVoice
from tests.small_heads import make_card, random_products


def test_cosines_are_weighted_means_over_what_is_there() -> None:
    names = torch.nn.functional.normalize(torch.randn(5, 8, generator=torch.Generator().manual_seed(0)), dim=1)
    whole = random_products(make_card("category"), num=40)
    present = np.random.default_rng(2).random(whole.present.shape) < 0.5
    present[0] = [feature == "brand" for feature in whole.features]
    products = replace(whole, present=present, vectors=whole.vectors * np.repeat(present, whole.dims, axis=1))
    said = TowerVoice(vectors=names).to(torch.device("cpu")).opinion(products)
    assert said.scores.shape == (40, 5)
    for row in range(40):
        some = [(WEIGHTS[name], n) for n, name in enumerate(products.features) if name in WEIGHTS and present[row, n]]
        if not some:
            assert (said.scores[row] == -np.inf).all()
            continue
        vectors = products.vectors[row].astype(np.float64).reshape(-1, 8)
        mean = sum(weight * vectors[n] for weight, n in some) / sum(weight for weight, _ in some)
        assert np.allclose(said.scores[row], names.numpy().astype(np.float64) @ mean, atol=1e-5)
    assert said.top(1)[0, 0] == -1
