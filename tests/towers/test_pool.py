"""The pool gives the towers' own vectors, whatever the batches, the cores and the memory; a failure ends it at once."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from prodemb.core.device import fastest_dtype
from prodemb.core.errors import ModelError
from prodemb.towers.checkpoint import BUNDLED, find_checkpoint
from prodemb.towers.load import DtypeName, Towers, load_towers
from prodemb.towers.pool import FIRST_BATCH_TOKENS, TowerPool, best_batch_tokens
from tests.conftest import WORDS

TEXTS = [" ".join(["lamp"] * (1 + place % 9)) + f" {place}" for place in range(60)]
PIXELS = list(np.random.default_rng(0).integers(0, 255, (23, 3, 16, 16), dtype=np.uint8))


@pytest.fixture
def towers(tiny_clip: Path) -> Towers:
    return load_towers(find_checkpoint(str(tiny_clip)), device="cpu", dtype="float32")


@pytest.fixture(params=[1, 2])
def num_threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def encode(towers: Towers, *, batch_tokens: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    with TowerPool(towers, batch_tokens=batch_tokens) as pool:
        texts, images = pool.texts(TEXTS), pool.images(PIXELS)
        return texts.result(), images.result()


def test_every_content_gets_its_own_vector_in_order(towers: Towers) -> None:
    texts, images = encode(towers, batch_tokens=40)
    with torch.inference_mode():
        for place, text in enumerate(TEXTS):
            ids, mask = towers.text.pad(towers.text.tokenize([text]))
            assert np.allclose(texts[place], towers.text_vectors(ids, mask).numpy()[0], atol=2e-3)
        alone = [towers.image_vectors(torch.from_numpy(pixels)[None]).numpy()[0] for pixels in PIXELS]
    assert np.allclose(images, alone, atol=2e-3)
    assert texts.dtype == images.dtype == np.float16


def test_bits_do_not_depend_on_the_number_of_cores(towers: Towers, num_threads: int, tmp_path: Path) -> None:
    with TowerPool(towers) as pool:
        assert pool.num_threads == num_threads
        assert torch.get_num_threads() == 1
        one_by_one = [pool.texts(TEXTS).result(), pool.images(PIXELS).result()]
    assert torch.get_num_threads() == num_threads
    torch.set_num_threads(3 - num_threads)
    assert all((a == b).all() for a, b in zip(one_by_one, encode(towers), strict=True))


def test_nothing_in_nothing_out(towers: Towers) -> None:
    with TowerPool(towers) as pool:
        assert pool.texts([]).result().shape == pool.images([]).result().shape == (0, towers.dim)


def test_what_does_not_fit_into_memory_is_halved_and_later_batches_are_smaller(
    towers: Towers, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = encode(towers, batch_tokens=1)
    text_vectors, image_vectors, sizes = towers.text_vectors, towers.image_vectors, []

    def small_texts(ids: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        sizes.append(ids.numel())
        if ids.numel() > 50:
            raise torch.OutOfMemoryError("no memory")
        return text_vectors(ids, mask)

    def small_images(pixels: torch.Tensor) -> torch.Tensor:
        if len(pixels) * towers.image_tokens > 20:
            raise torch.OutOfMemoryError("no memory")
        return image_vectors(pixels)

    monkeypatch.setattr(towers, "text_vectors", small_texts)
    monkeypatch.setattr(towers, "image_vectors", small_images)
    found = encode(towers, batch_tokens=400)
    assert max(sizes) > 50
    assert all(np.allclose(a, b, atol=2e-3) for a, b in zip(found, wanted, strict=True))
    with TowerPool(towers, batch_tokens=400) as pool:
        pool.images(PIXELS).result()
        assert pool.batch_tokens <= 20 + towers.image_tokens


def test_memory_too_small_for_one_is_an_error(towers: Towers, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> torch.Tensor:
        raise torch.OutOfMemoryError("no memory")

    monkeypatch.setattr(towers, "image_vectors", never)
    with pytest.raises(ModelError, match="too little memory on cpu for a batch of one"), TowerPool(towers) as pool:
        pool.images(PIXELS).result()


def test_a_failing_tower_stops_those_who_hand_over(towers: Towers, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> torch.Tensor:
        raise RuntimeError("broken tower")

    monkeypatch.setattr(towers, "text_vectors", broken)
    with TowerPool(towers, batch_tokens=1) as pool, pytest.raises(RuntimeError, match="broken tower"):
        hand_over_again_and_again(pool)


def hand_over_again_and_again(pool: TowerPool) -> None:
    for _ in range(100):
        pool.texts(TEXTS)


def test_the_batch_grows_until_it_stops_paying() -> None:
    assert best_batch_tokens(lambda tokens: min(tokens, 30_000), at_most=10**6) == 32_768
    assert best_batch_tokens(lambda tokens: 1.0, at_most=10**6) == FIRST_BATCH_TOKENS
    assert best_batch_tokens(float, at_most=100_000) == 65_536

    def small_device(tokens: int) -> float:
        if tokens > 10_000:
            raise torch.OutOfMemoryError("no memory")
        return float(tokens)

    assert best_batch_tokens(small_device, at_most=10**6) == 8_192


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_a_vector_does_not_depend_on_what_else_is_encoded(tiny_clip: Path, dtype: DtypeName) -> None:
    """So that an update gives what a full run gives."""
    if dtype == "bfloat16" and fastest_dtype(torch.device("cpu")) != torch.bfloat16:
        pytest.skip("bfloat16 is emulated here")
    texts = [" ".join(WORDS[(place * 7 + i) % 43] for i in range(1 + place % 19)) for place in range(150)]
    for model in (str(tiny_clip), BUNDLED):
        with TowerPool(load_towers(find_checkpoint(model), device="cpu", dtype=dtype)) as pool:
            every = pool.texts(texts).result()
            for step in (2, 7, 59):
                some = pool.texts(texts[::step]).result()
                assert np.abs(some.astype(float) - every[::step]).max() <= (0 if dtype == "bfloat16" else 2**-13)
