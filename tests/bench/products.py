"""What a run of the stage-one benches works on: checkpoints, products laid out for every row, recorded batches."""

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, Literal, get_args

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from rows import BATCHES, CATALOG, INPUTS, Job, embed

from prodemb.bundled import CLIP_FOLDER
from prodemb.catalog.reader import Catalog, CatalogConfig, open_catalog
from prodemb.core.features import FEATURES, GOLD_LABELS, Feature
from prodemb.sample.catalog import write_sample
from prodemb.towers.load import Towers
from prodemb.towers.pool import TowerPool

ROWS_AT_ONCE = 256
TINY_TOWER = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
SHAPES: dict[str, dict[str, Any]] = {
    "vit-b-32": {"text_config": {}, "vision_config": {}},
    "vit-l-14": {
        "text_config": {"hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12},
        "vision_config": {
            "hidden_size": 1024,
            "intermediate_size": 4096,
            "num_hidden_layers": 24,
            "num_attention_heads": 16,
            "patch_size": 14,
        },
        "projection_dim": 768,
    },
    "vit-b-32-tiny": {"text_config": TINY_TOWER, "vision_config": TINY_TOWER, "projection_dim": 32},
}
"""What differs from CLIPConfig, whose defaults are ViT-B/32: `tiny` has the same inputs and code in a small tower."""

Tower = Literal["text", "image"]
Batch = tuple[Tower, tuple[Any, ...], dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Products:
    """The first products of a catalog, in a folder of their own."""

    folder: Path
    features: tuple[Feature, ...]
    """Those that the catalog has a column for."""
    num_products: int
    pictures: list[Path]
    """The picture files that exist, in catalog order."""


def catalog_path(catalog: str | None, *, folder: Path, num_products: int) -> str:
    """The catalog itself, or where there is none a generated one in `folder`."""
    return catalog or str(write_sample(folder / f"sample-{num_products}", num_products=num_products, seed=1))


def lay_out(path: str, *, folder: Path, limit: int | None, text_only: bool) -> Products:
    """Write the first `limit` products of a catalog, or all, to `folder`: a Parquet file for embed, lists of texts and
    picture files for the others.

    Pictures become files with an absolute path. URLs are skipped: the network is not measured here.

    Raises:
        CatalogError: there is no such catalog, or it cannot be read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    catalog = open_catalog(CatalogConfig(path=path))
    features = tuple(f for f in FEATURES if f in catalog.features and not (text_only and f == "image"))
    labels = (label for label in GOLD_LABELS if label in catalog.columns)
    columns = ["product_id", *features, *labels]
    schema = pa.schema([(name, pa.large_string()) for name in columns])
    texts: dict[str, list[str]] = {feature: [] for feature in features if feature != "image"}
    pictures: list[Path] = []
    num_products = num_urls = 0
    with pq.ParquetWriter(folder / CATALOG, schema) as writer:
        for batch in catalog.batches(ROWS_AT_ONCE, columns=columns):
            rows = batch if limit is None else batch.slice(0, limit - num_products)
            values = {name: rows[name].to_pylist() for name in columns}
            if "image" in features:
                numbers = range(num_products, num_products + rows.num_rows)
                values["image"] = [
                    _picture_file(value, catalog=catalog, folder=folder, number=number)
                    for value, number in zip(values["image"], numbers, strict=True)
                ]
                num_urls += sum(value == "" for value in values["image"])
                pictures += [Path(value) for value in values["image"] if value and Path(value).is_file()]
            for feature, column in texts.items():
                column += [text for text in values[feature] if text is not None]
            writer.write_table(pa.table(values, schema=schema))
            num_products += rows.num_rows
            if num_products == limit:
                break
    if num_urls:
        print(f"{path}: {num_urls:,} pictures are URLs and skipped", file=sys.stderr)
    (folder / INPUTS).write_text(json.dumps({"texts": texts, "pictures": [str(picture) for picture in pictures]}))
    return Products(folder=folder, features=features, num_products=num_products, pictures=pictures)


def _picture_file(value: str | bytes | None, *, catalog: Catalog, folder: Path, number: int) -> str | None:
    """The absolute path of a picture; its bytes are written to a file first; empty for a URL."""
    if value is None:
        return None
    if isinstance(value, bytes):
        path = folder / "pictures" / str(number)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(value)
        return str(path)
    if value.strip().lower().startswith(("http://", "https://", "//")):
        return ""
    return str((Path(str(catalog.image_root)) / value.strip()).absolute())


def make_checkpoint(name: str, *, folder: Path) -> str:
    """Write a checkpoint of one of `SHAPES`, with random weights and the bundled tokenizer, and give its folder.

    Any other name is given back: it is `bundled`, a folder or a hub id.
    """
    if name not in SHAPES:
        return name
    from transformers import AutoTokenizer, CLIPConfig, CLIPModel
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    tokenizer = AutoTokenizer.from_pretrained(CLIP_FOLDER)
    ids = {key: getattr(tokenizer, key) for key in ("eos_token_id", "bos_token_id", "pad_token_id")}
    torch.manual_seed(0)
    shape = SHAPES[name]
    CLIPModel(CLIPConfig(**shape | {"text_config": shape["text_config"] | ids})).save_pretrained(folder)
    shutil.copy(CLIP_FOLDER / "tokenizer.json", folder)
    settings = json.loads((CLIP_FOLDER / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(settings | {"model_max_length": 77}))
    size = {"size": {"shortest_edge": 224}, "do_center_crop": True, "crop_size": {"height": 224, "width": 224}}
    settings = json.loads((CLIP_FOLDER / "preprocessor_config.json").read_text())
    (folder / "preprocessor_config.json").write_text(json.dumps(settings | size))
    return str(folder)


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """What embed hands to the towers."""

    num_texts: int
    num_tokens: int
    num_padded_tokens: int
    """With their padding."""
    num_pictures: int
    num_batches: int
    device: str
    dtype: str


def record(job: Job, *, products: Path) -> Recorded:
    """Run embed once and save the batches that it forms in `products`."""
    batches: list[Batch] = []
    with _recording(batches) as in_pools:
        embed(job)(products)()
    torch.save(batches, products / BATCHES)
    texts, pictures = (
        [(*inputs, *named.values())[0] for kind, inputs, named in batches if kind == tower] for tower in get_args(Tower)
    )
    preprocessor = in_pools[0].text
    ends = int(preprocessor.pad_id == preprocessor.tokenizer.eos_token_id)  # OpenAI's CLIP pads with the end token
    return Recorded(
        num_texts=sum(map(len, texts)),
        num_tokens=sum(int((ids != preprocessor.pad_id).sum()) + ends * len(ids) for ids in texts),
        num_padded_tokens=sum(ids.numel() for ids in texts),
        num_pictures=sum(map(len, pictures)),
        num_batches=len(batches),
        device=str(in_pools[0].device),
        dtype=str(in_pools[0].dtype).removeprefix("torch."),
    )


@contextmanager
def _recording(batches: list[Batch]) -> Iterator[list[Towers]]:
    """Copy all inputs of towers that are in a pool; gives the list of those towers.

    What goes through them before, when they are checked and batch sizes are tried, is not recorded.
    """
    in_pools: list[Towers] = []
    original = TowerPool.__enter__, Towers.text_vectors, Towers.image_vectors

    @wraps(TowerPool.__enter__)
    def enter(self: TowerPool) -> TowerPool:
        in_pools.append(self.towers)
        return original[0](self)

    def recorded(tower: Tower, call: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
        @wraps(call)
        def method(self: Towers, *inputs: Any, **named: Any) -> torch.Tensor:
            if self in in_pools:
                kept = {name: _copy(value) for name, value in named.items()}
                batches.append((tower, tuple(map(_copy, inputs)), kept))
            return call(self, *inputs, **named)

        return method

    TowerPool.__enter__ = enter  # type: ignore[method-assign, assignment]
    Towers.text_vectors = recorded("text", original[1])  # type: ignore[method-assign]
    Towers.image_vectors = recorded("image", original[2])  # type: ignore[method-assign]
    try:
        yield in_pools
    finally:
        TowerPool.__enter__, Towers.text_vectors, Towers.image_vectors = original  # type: ignore[method-assign]


def _copy(value: Any) -> Any:
    return value.detach().cpu().clone() if isinstance(value, torch.Tensor) else value
