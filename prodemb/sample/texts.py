"""Titles and descriptions of sample products, English and French, clear or vague, and how they are misspelt."""

from random import Random

from prodemb.sample.items import Item

_FRENCH_MATERIALS = dict(
    pair.split("=")
    for pair in (
        "leather=cuir cotton=coton wool=laine silk=soie linen=lin wood=bois steel=acier glass=verre "
        "silver=argent gold=or plastic=plastique metal=métal ceramic=céramique porcelain=porcelaine oak=chêne "
        "velvet=velours canvas=toile denim=denim suede=daim aluminium=aluminium rubber=caoutchouc "
        "straw=paille pearl=perle marble=marbre walnut=noyer pine=pin copper=cuivre "
    ).split()
)

_OPENERS = (
    "Meet the {brand} {model}.",
    "Here comes the {brand} {model} {number}.",
    "A favourite of our customers.",
    "New this season.",
    "The {model} does its job every day.",
    "Designed with care, made to last.",
    "",
)
_FRENCH_OPENERS = (
    "Découvrez {brand} {model}.",
    "Voici {brand} {model} {number}.",
    "Le préféré de nos clients.",
    "Nouveauté de la saison.",
    "",
)
_BOILERPLATE = (
    "Free returns within 30 days.",
    "Ships in two days.",
    "Genuine product with warranty.",
    "Buy now at the best price online.",
    "Colours may differ slightly from the picture.",
    "Cash on delivery available.",
    "",
    "",
)
_FRENCH_BOILERPLATE = ("Livraison gratuite.", "Retour sous 30 jours.", "Produit authentique, garantie 2 ans.", "", "")

_TITLES = (
    "{brand} {line} {model} {colour} {kind}",
    "{brand} {audience} {colour} {material} {kind}",
    "{brand} {line} {kind} {model} {number} - {colour}",
    "{colour} {material} {kind} by {brand}",
    "{audience} {kind} {brand} {model} ({colour}, {size})",
    "{kind} {colour} {size} {brand} {line}",
)
_VAGUE_TITLES = (
    "{brand} {line} {model} {number}",
    "{brand} {model} {colour}",
    "{brand} {line} {model} {number} {colour} {size}",
    "{model} {number} by {brand}, {colour}",
    "{brand} {audience} {model} {material} {colour}",
    "{model} {line} {colour} {size}",
)
_FRENCH_TITLES = (
    "{kind} {brand} {line} {model} {colour}",
    "{brand} {kind} {audience} en {material} {colour}",
    "{kind} {model} {number} {colour} - {brand}",
    "{kind} {colour} {audience} {brand} taille {size}",
)


def title_of(item: Item, *, named: bool, vague: bool, french: bool, rng: Random) -> str:
    """A title, with the brand where `named`, and without a word for the kind of product where `vague`."""
    templates = _VAGUE_TITLES if vague else _FRENCH_TITLES if french else _TITLES
    template = rng.choice(templates)
    if item.size is None:
        template = template.replace(" taille {size}", "").replace(", {size}", "")
    text = _fill(template, item, named=named, french=french, rng=rng).replace(" by ,", ",").removesuffix(" by ")
    text = " ".join(text.split()).strip(" -,").removesuffix(" by")
    return text[:1].upper() + text[1:] if french or rng.random() < 0.5 else _capitalised(text)


def describe(item: Item, *, vague: bool, french: bool, rng: Random) -> str:
    """A description of one to five sentences; some say nothing of the product."""
    opener = _fill(rng.choice(_FRENCH_OPENERS if french else _OPENERS), item, named=True, french=french, rng=rng)
    closing = rng.choice(_FRENCH_BOILERPLATE if french else _BOILERPLATE)
    said: list[str] = []
    if rng.random() >= (0.35 if vague else 0.15):
        sayings = item.kind.french_sayings if french else item.kind.sayings
        said = [_sentence(", ".join(rng.sample(sayings, rng.choice((1, 1, 2)))))]
        if rng.random() < (0.15 if vague else 0.5):
            naming = ("{kind} en {material}.",) if french else ("{material} {kind}.", "This {kind} is {colour}.")
            named = rng.choice(naming)
            said.insert(rng.randrange(2), _sentence(_fill(named, item, named=True, french=french, rng=rng)))
    sentences = [" ".join(opener.split()), *said, closing]
    if rng.random() < 0.15:
        sentences.reverse()
    return " ".join(sentence for sentence in sentences if sentence) or ("Voir photo." if french else "See picture.")


def misspell(text: str, *, rng: Random) -> str:
    """`text` with two neighbouring letters swapped, one left out or one doubled."""
    letters = [place for place in range(1, len(text) - 1) if text[place].isalpha() and text[place + 1].isalpha()]
    if not letters:
        return text
    at = rng.choice(letters)
    here, after = text[at], text[at + 1]
    return text[:at] + rng.choice((after + here, after, here + here + after)) + text[at + 2 :]


def _fill(template: str, item: Item, *, named: bool, french: bool, rng: Random) -> str:
    """A template with the item's words; what the item lacks is left out."""
    words = item.kind.french if french else item.kind.english
    brand = item.brand.name if item.brand and named else ""
    return template.format(
        brand=brand,
        line=(item.line or "") if brand else "",
        model=item.model,
        number=item.number,
        colour=item.colour.french if french else item.colour.english,
        material=_FRENCH_MATERIALS.get(item.material, item.material) if french else item.material,
        kind=words[0] if rng.random() < 0.5 else rng.choice(words),
        audience="" if item.audience is None else item.audience[1 if french else 0],
        size=item.size or "",
    )


def _sentence(text: str) -> str:
    text = " ".join(text.split()).strip(" ,.")
    return f"{text[:1].upper()}{text[1:]}."


def _capitalised(text: str) -> str:
    """Each word with a capital, as shops write titles; the rest of the word as it is."""
    return " ".join(word[:1].upper() + word[1:] for word in text.split())
