"""A catalog with column names of its own, in German."""

from pathlib import Path

import polars as pl

PRODUCTS = pl.DataFrame(
    {
        "Artikelnummer": [f"A{n}" for n in range(40)],
        "Bezeichnung": [f"Acme Tasse Nr. {n} blau" if n % 2 else f"Zenit Pfanne Nr. {n}" for n in range(40)],
        "Marke": ["Zenit", "Acme"] * 20,
        "Kategorie": ["Küche > Pfannen", "Küche > Tassen"] * 20,
        "Bild": [f"{n}.jpg" for n in range(40)],
        "google_product_category": ["2169", "6070"] * 20,
        "Preis": [f"{n},99" for n in range(40)],
    }
)


def write(folder: Path, frame: pl.DataFrame = PRODUCTS) -> Path:
    (folder / "fotos").mkdir(exist_ok=True)
    (folder / "fotos" / "7.jpg").touch()
    frame.write_csv(folder / "Mein Katalog.csv")
    return folder / "Mein Katalog.csv"
