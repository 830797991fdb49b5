"""Stage one against its ceiling and its peers, and shards against a plain copy; every ratio from one run.

    python tests/bench/stage_one.py                      the generated sample, the bundled CLIP
    python tests/bench/stage_one.py --model vit-b-32     a checkpoint shaped like ViT-B/32 with random weights
    python tests/bench/stage_one.py --catalog my.parquet --json

Rows:
    ceiling     the bare towers on ready tensors: the very batches that embed forms, nothing else
    embed       prodemb.embed.embed, from opening the catalog to finished shards, loading the checkpoint included
    naive       transformers' own processor and model in a plain loop, a batch of products at a time
    peer        sentence-transformers encoding each text column and the pictures (if it is installed)

All rows run on the same products and checkpoint, in turn, `--repeat` times; medians are printed.
"""

import argparse
import gc
import json
import platform
import resource
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image
from transformers import AutoModel, AutoTokenizer, CLIPConfig, CLIPModel

from prodemb.bundled import CLIP_FOLDER
from prodemb.catalog.images import ImagesConfig
from prodemb.catalog.reader import CatalogConfig, open_catalog
from prodemb.embed import EmbedConfig, embed
from prodemb.features import TEXT_FEATURES
from prodemb.sample.catalog import write_sample
from prodemb.shards.format import ShardSchema
from prodemb.shards.reader import open_shard_set
from prodemb.towers.checkpoint import find_checkpoint
from prodemb.towers.load import Towers, load_towers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--catalog", help="a catalog; by default a generated sample")
    parser.add_argument("--products", type=int, default=600, help="products of the generated sample")
    parser.add_argument("--model", default="bundled", help="bundled, vit-b-32, a folder or a hub id")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="prodemb-bench-") as folder:
        print_results(measure(options, Path(folder)), as_json=options.json)


def measure(options: argparse.Namespace, folder: Path) -> dict[str, object]:
    catalog = options.catalog or str(write_sample(folder / "sample", num_products=options.products, seed=1))
    model = str(vit_b_32(folder / "vit-b-32")) if options.model == "vit-b-32" else options.model
    config = EmbedConfig(model=model, out=str(folder / "shards"), device=options.device)
    rows = pl.concat([pl.from_arrow(batch) for batch in open_catalog(CatalogConfig(path=catalog)).batches(4096)])
    images = picture_files(rows, root=Path(catalog).parent)
    towers = load_towers(find_checkpoint(model), device=options.device)
    batches = record_batches(config, catalog=catalog)
    runs: dict[str, Callable[[], None]] = {
        "ceiling": lambda: replay(towers, batches),
        "embed": lambda: run_embed(config, catalog=catalog),
        "naive": lambda: naive(model, rows=rows, images=images, towers=towers),
    }
    if peer := sentence_transformers_run(model, rows=rows, images=images, device=str(towers.device)):
        runs["peer"] = peer
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(options.repeat):
        for name, call in runs.items():
            gc.collect()
            started = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - started)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    run_embed(config, catalog=catalog)
    return {
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads, {towers.device}, {towers.dtype}",
        "versions": f"torch {torch.__version__}, pyarrow {pa.__version__}, polars {pl.__version__}",
        "model": options.model,
        "num_products": rows.height,
        "stage_one": {
            name: {
                "products_per_s": rows.height / median,
                "to_ceiling": medians["ceiling"] / median,
                "to_naive": medians["naive"] / median,
                "to_peer": medians["peer"] / median if "peer" in medians else None,
            }
            for name, median in medians.items()
        },
        "shards": shard_rates(folder / "rates"),
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def vit_b_32(folder: Path) -> Path:
    """A checkpoint shaped like ViT-B/32 (CLIPConfig's defaults) with random weights and the bundled tokenizer."""
    tokenizer = AutoTokenizer.from_pretrained(CLIP_FOLDER)
    text = {"eos_token_id": tokenizer.eos_token_id, "bos_token_id": tokenizer.bos_token_id}
    CLIPModel(CLIPConfig(text_config=text | {"pad_token_id": tokenizer.pad_token_id})).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(CLIP_FOLDER / name, folder)
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(settings | {"model_max_length": 77}))
    settings = json.loads((CLIP_FOLDER / "preprocessor_config.json").read_text())
    settings |= {"size": {"shortest_edge": 224}, "crop_size": {"height": 224, "width": 224}}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    return folder


def picture_files(rows: pl.DataFrame, *, root: Path) -> list[Path]:
    """The pictures that exist, as files."""
    return [root / value for value in rows["image"].drop_nulls() if (root / value).is_file()]


def record_batches(config: EmbedConfig, *, catalog: str) -> list[tuple[str, tuple[torch.Tensor | None, ...]]]:
    """The tensors that an embed run hands to the towers, in order."""
    batches: list[tuple[str, tuple[torch.Tensor | None, ...]]] = []
    text, image = Towers.text_vectors, Towers.image_vectors

    def record_text(self: Towers, ids: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        batches.append(("text", (ids, mask)))
        return text(self, ids, mask)

    def record_image(self: Towers, pixels: torch.Tensor) -> torch.Tensor:
        batches.append(("image", (pixels.clone(),)))
        return image(self, pixels)

    Towers.text_vectors, Towers.image_vectors = record_text, record_image  # type: ignore[method-assign]
    try:
        run_embed(config, catalog=catalog)
    finally:
        Towers.text_vectors, Towers.image_vectors = text, image  # type: ignore[method-assign]
    return batches[2:]


@torch.inference_mode()
def replay(towers: Towers, batches: list[tuple[str, tuple[torch.Tensor | None, ...]]]) -> None:
    for tower, inputs in batches:
        vectors = towers.text_vectors(*inputs) if tower == "text" else towers.image_vectors(*inputs)  # type: ignore[arg-type]
        vectors.half().cpu()


def run_embed(config: EmbedConfig, *, catalog: str) -> None:
    shutil.rmtree(config.out, ignore_errors=True)
    embed(config, catalog=open_catalog(CatalogConfig(path=catalog)), images=ImagesConfig())


@torch.inference_mode()
def naive(model: str, *, rows: pl.DataFrame, images: list[Path], towers: Towers, batch: int = 32) -> None:
    """Each text column padded to full length, each picture through the processor, batch by batch, float32."""
    folder = find_checkpoint(model).folder
    clip = AutoModel.from_pretrained(folder, dtype=torch.float32).to(towers.device).eval()
    tokenizer, processor = AutoTokenizer.from_pretrained(folder), image_processor(folder)
    for feature in TEXT_FEATURES:
        texts = rows[feature].drop_nulls().to_list()
        for start in range(0, len(texts), batch):
            inputs = tokenizer(
                texts[start : start + batch], padding="max_length", truncation=True, return_tensors="pt"
            ).to(towers.device)
            clip.get_text_features(**inputs).pooler_output.cpu()
    for start in range(0, len(images), batch):
        opened = []
        for path in images[start : start + batch]:
            try:
                opened.append(Image.open(path).convert("RGB"))
            except OSError:
                continue
        if opened:
            pixels = processor(opened, return_tensors="pt")["pixel_values"].to(towers.device)
            clip.get_image_features(pixel_values=pixels).pooler_output.cpu()


def image_processor(folder: Path) -> Callable[..., dict[str, torch.Tensor]]:
    from transformers import AutoImageProcessor

    return AutoImageProcessor.from_pretrained(folder)  # type: ignore[no-any-return]


def sentence_transformers_run(
    model: str, *, rows: pl.DataFrame, images: list[Path], device: str
) -> Callable[[], None] | None:
    """sentence-transformers on the same columns and pictures, or None where it is not installed."""
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError:
        return None
    folder = str(find_checkpoint(model).folder)
    loaded = SentenceTransformer(folder, device=device, model_kwargs={"dtype": torch.float32})

    def run() -> None:
        for feature in TEXT_FEATURES:
            loaded.encode(rows[feature].drop_nulls().to_list(), batch_size=32, show_progress_bar=False)
        for start in range(0, len(images), 256):
            opened = []
            for path in images[start : start + 256]:
                try:
                    opened.append(Image.open(path).convert("RGB"))
                except OSError:
                    continue
            loaded.encode(opened, batch_size=32, show_progress_bar=False)

    return run


def shard_rates(folder: Path, *, num_products: int = 16_384 * 4, dim: int = 512) -> dict[str, float]:
    """GB/s of writing and reading one vector column as prodemb lays it out, as FixedSizeList, and of a plain copy."""
    vectors = np.random.default_rng(0).standard_normal((num_products, dim)).astype("<f2")
    folder.mkdir(parents=True)
    copy = np.empty_like(vectors)
    rates = {"plain copy": rate(vectors.nbytes, lambda: np.copyto(copy, vectors))}
    write_one_column(folder / "set", vectors)
    rates["write shard"] = rate(vectors.nbytes, lambda: write_one_column(folder / "set", vectors))
    shards = open_shard_set(folder / "set")

    def read() -> None:
        start = 0
        for shard in shards.shards():
            view = shard.vectors("title")
            copy[start : start + len(view)] = view
            start += len(view)

    rates["copy out of mapped shards"] = rate(vectors.nbytes, read)
    assert np.array_equal(copy, vectors)
    lists = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), dim)
    path = folder / "lists.parquet"
    rates["write FixedSizeList"] = rate(
        vectors.nbytes, lambda: pq.write_table(pa.table({"v": lists}), path, compression="none", use_dictionary=False)
    )

    def read_lists() -> None:
        column = pq.read_table(path, memory_map=True)["v"].combine_chunks()
        copy[:] = column.flatten().to_numpy(zero_copy_only=False).reshape(num_products, dim)

    rates["read FixedSizeList"] = rate(vectors.nbytes, read_lists)
    return rates


def write_one_column(folder: Path, vectors: np.ndarray) -> None:
    """A shard set whose products have nothing but a title vector."""
    from prodemb.features import CATALOG_COLUMNS
    from prodemb.shards.format import Manifest
    from prodemb.shards.writer import EncodedFeature, write_shard

    schema = ShardSchema(fingerprint="bench", model="bench", dim=vectors.shape[1], features=("title",))
    records = []
    for index, start in enumerate(range(0, len(vectors), 16_384)):
        part = vectors[start : start + 16_384]
        empty = pa.nulls(len(part), pa.large_string())
        ids = pa.array([str(i) for i in range(len(part))], pa.large_string())
        rows = pa.table({name: ids if name == "product_id" else empty for name in CATALOG_COLUMNS})
        none: list[None] = [None] * len(part)
        encoded = EncodedFeature(vectors=part, absent=none, hashes=none)  # type: ignore[arg-type]
        records.append(
            write_shard(folder, index=index, schema=schema, rows=rows, encoded={"title": encoded}, rows_hash="")
        )
    Manifest(shard_schema=schema, catalog="", shard_size=16_384, complete=True, shards=tuple(records)).write(folder)


def rate(num_bytes: int, call: Callable[[], object], *, repeat: int = 5) -> float:
    """GB/s, the median of some runs after one that warms up."""
    call()
    seconds = []
    for _ in range(repeat):
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    return num_bytes / statistics.median(seconds) / 1e9


def print_results(results: dict[str, object], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(results, indent=2))
        return
    print(f"{results['num_products']} products, {results['model']}; {results['machine']}; {results['versions']}")
    print(f"{'':12} {'products/s':>12} {'to ceiling':>12} {'to naive':>10} {'to peer':>10}")
    for name, figures in results["stage_one"].items():  # type: ignore[attr-defined]
        peer = "-" if figures["to_peer"] is None else f"{figures['to_peer']:.2f}"
        row = f"{figures['products_per_s']:12.1f} {figures['to_ceiling']:12.2f} {figures['to_naive']:10.2f} {peer:>10}"
        print(f"{name:12} {row}")
    for name, gigabytes in results["shards"].items():  # type: ignore[attr-defined]
        print(f"{name:28} {gigabytes:8.2f} GB/s")
    print(f"peak memory of this process  {results['peak_memory_mb']:8.0f} MB")


if __name__ == "__main__":
    main()
