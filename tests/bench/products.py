"""The products of one run, laid out for every row: a catalog for embed, texts and picture files for its peers."""

import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from rows import CATALOG, INPUTS

from prodemb.bundled import CLIP_FOLDER
from prodemb.catalog.images import ADDRESS
from prodemb.catalog.reader import Catalog, CatalogConfig, open_catalog
from prodemb.core.features import FEATURES, GOLD_LABELS, Feature

ROWS_AT_ONCE = 256


@dataclass(frozen=True, kw_only=True)
class Products:
    """The first products of a catalog, in a folder of their own."""

    folder: Path
    features: tuple[Feature, ...]
    """Those that the catalog has a column for."""
    num_products: int
    pictures: list[Path]
    """The picture files that exist, in catalog order."""


def lay_out(path: str, *, folder: Path, limit: int | None, text_only: bool) -> Products:
    """Write the first `limit` products of a catalog, or all, to `folder`: as Parquet, and as the peers' lists.

    Pictures become files with an absolute path. Addresses are left out: a network is not what is measured here.

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
    num_products = num_addresses = 0
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
                num_addresses += sum(value == "" for value in values["image"])
                pictures += [Path(value) for value in values["image"] if value and Path(value).is_file()]
            for feature, column in texts.items():
                column += [text for text in values[feature] if text is not None]
            writer.write_table(pa.table(values, schema=schema))
            num_products += rows.num_rows
            if num_products == limit:
                break
    if num_addresses:
        print(f"{path}: {num_addresses:,} pictures are addresses and left out", file=sys.stderr)
    (folder / INPUTS).write_text(json.dumps({"texts": texts, "pictures": [str(picture) for picture in pictures]}))
    return Products(folder=folder, features=features, num_products=num_products, pictures=pictures)


def _picture_file(value: str | bytes | None, *, catalog: Catalog, folder: Path, number: int) -> str | None:
    """The absolute path of a picture; its bytes are written to a file first; empty for an address."""
    if value is None:
        return None
    if isinstance(value, bytes):
        path = folder / "pictures" / str(number)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(value)
        return str(path)
    if ADDRESS.match(value.strip()) or value.strip().startswith("//"):
        return ""
    return str((catalog.image_root / value.strip()).absolute())


def vit_b_32(folder: Path) -> Path:
    """Write a checkpoint shaped like ViT-B/32 (CLIPConfig's defaults): random weights, the bundled tokenizer."""
    import torch
    from transformers import AutoTokenizer, CLIPConfig, CLIPModel
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    tokenizer = AutoTokenizer.from_pretrained(CLIP_FOLDER)
    text = {name: getattr(tokenizer, name) for name in ("eos_token_id", "bos_token_id", "pad_token_id")}
    torch.manual_seed(0)
    CLIPModel(CLIPConfig(text_config=text)).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(CLIP_FOLDER / name, folder)
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(settings | {"model_max_length": 77}))
    settings = json.loads((CLIP_FOLDER / "preprocessor_config.json").read_text())
    settings |= {"size": {"shortest_edge": 224}, "do_center_crop": True, "crop_size": {"height": 224, "width": 224}}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    return folder
