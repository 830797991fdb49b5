"""The invented brands that the sample sells: what they make, their lines, short forms, colour and mark."""

import colorsys
import zlib
from dataclasses import dataclass
from typing import Literal, get_args

from prodemb.sample.kinds import KINDS, Kind

Mark = Literal["disc", "bar", "triangle", "ring", "cross", "diamond", "wave", "square"]
"""The shape of a brand's logo as the pictures show it."""


@dataclass(frozen=True, kw_only=True)
class Brand:
    """A brand: `name` is the canonical one; every line, short form and legal form counts as it."""

    name: str
    departments: tuple[str, ...]
    lines: tuple[str, ...]
    """Product lines, said after the name: "Norvik Air"."""
    short: tuple[str, ...]
    """Short forms that partners use in place of the name."""

    @property
    def colour(self) -> tuple[int, int, int]:
        """The colour of its logo, RGB."""
        red, green, blue = colorsys.hsv_to_rgb(_hash(self.name) % 360 / 360, 0.85, 0.85)
        return int(red * 255), int(green * 255), int(blue * 255)

    @property
    def mark(self) -> Mark:
        """The shape of its logo."""
        marks = get_args(Mark)
        chosen: Mark = marks[_hash(self.name) // 360 % len(marks)]
        return chosen

    def models_of(self, kind: Kind) -> tuple[str, ...]:
        """The three model names under which it sells a kind; other brands use the same words for other kinds."""
        start = _hash(f"{self.name}/{kind.category}")
        return tuple(MODEL_WORDS[(start + step * 17) % len(MODEL_WORDS)] for step in range(3))


def _hash(text: str) -> int:
    return zlib.crc32(text.encode())


MODEL_WORDS = tuple(
    "Aero Alba Alto Amber Arc Aspen Atlas Aurora Avon Basil Bay Bolt Breeze Brook Canyon Cedar Cinder Clover Comet "
    "Coral Cove Crest Dawn Delta Drift Dune Echo Eden Ember Fable Falcon Fern Fjord Flint Flora Forge Gale Glade "
    "Grove Halo Harbor Haven Helio Horizon Indigo Iris Isla Ivory Jade Juno Karma Kite Lagoon Lark Linea Lotus Lunar "
    "Lyra Maple Mesa Mira Mistral Monsoon Nectar Nimbus Noble Nova Oasis Onyx Opal Orbit Orchid Osprey Pearl Pepper "
    "Pico Pilot Plaza Poppy Prairie Prism Pulse Quartz Quest Raven Reef Ridge River Robin Rowan Sable Sage Salt Scout "
    "Sierra Silk Solar Solstice Sonata Sparrow Spruce Summit Swift Tango Terra Thistle Tidal Timber Topaz Trail Tulip "
    "Twist Umbra Union Vale Vega Velvet Verve Vista Vivid Vortex Willow Wren Yarrow Zephyr Zest".split()
)
"""Words that say nothing of the kind of product."""

_TABLE = """
Norvik | clothing sport luggage | Air Pro Kids
Lumo | home electronics | Mini Max
Luma | beauty home | Care
Calderra | kitchen home | Chef Casa
Oak & Ember | furniture home | Studio
Tessaro | clothing accessories | Donna Uomo
Brightwater | kitchen home baby | Home
Zun | electronics | X Go
Halvard | tools motor | Pro
Maison Belrive | home kitchen accessories | Nuit
Kestro | sport clothing | Run Trail
Velmora | beauty | Rouge
Pixell | electronics | Air Plus
Little Otter | baby toys | First
Norvig | tools electronics |
Arvo | accessories | Classic Sport
Arvanti | accessories clothing | Oro
Blue Heron | clothing luggage | Marine
Stone Harbour | home furniture |
Tindra | home kitchen |
Oko | electronics baby | Mini
Bexley Row | clothing | Denim
Bex | beauty | Men
Haldane | luggage office | Cabin
Haldan | kitchen |
Fernwick | home pets |
Sonara | electronics music | Studio Buds
Sonaro | music |
Ridgeback | sport luggage | Alpine
Paper Finch | office books |
Castelmare | clothing accessories |
Mokuro | kitchen grocery | Gold
Grindley's | grocery kitchen |
Quillon | office | Executive
Tavish | clothing | Highland
Ivi | beauty baby | Pure
Lunetta | accessories | Solar
Luneta | baby toys |
Dorsal | sport | Carbon
Wagtail | pets | Puppy
Paws & Pine | pets |
Feather & Finn | pets home |
Redmoor | furniture |
Red Kite Works | tools |
Kitewood | toys | Junior
Torvald | tools | Heavy
Torva | motor | Race
Brakk | motor sport |
Kolibri Nord | clothing accessories |
Saffi | accessories clothing | Gold
Safira | accessories |
Emberlane | home |
Clover & Cole | clothing |
Noma Field | grocery pets |
Beehollow | grocery |
Casa Lindo | furniture home | Uno
Lindo | clothing | Kids
Verdala | home beauty | Garden
Verda | grocery |
Optique Sol | accessories |
Aquilo | pets kitchen | Pro
Marrow & Bloom | beauty | Men
Silkwell | beauty |
Auralis | beauty home |
Pomme d'Or | grocery beauty |
Chaumont Frères | kitchen grocery |
Étoile Grise | clothing accessories |
Atelier Marn | accessories home |
Nachtwald | furniture |
Brückner | tools kitchen | Edition
Søndal | furniture home |
Hollis | furniture office |
Hollis & Wray | books office |
Wray | clothing |
Tempra | kitchen |
Tempora | accessories home | Quartz
Gearford | sport motor | MTB
Ostrava Lane | luggage accessories |
Minto | baby |
Mintoo | toys |
Wobbly Fox | toys baby |
Dapple | toys |
Strumble | music |
Oldtown Strings | music |
Beat Cellar | music |
Volta Nine | electronics tools | Turbo
Nexily | electronics | Lite
Cirrus Lab | electronics office | Pro
Dexter Hale | clothing accessories |
Hale | sport |
Juniper Press | books |
Grey Lantern | books |
Longacre | books |
Rollwell | motor luggage |
Asphalta | motor | Winter
Kaido | motor kitchen | Sport
Northfell | sport clothing | Summit
North Fell Trading | grocery |
Sandvale | clothing |
Pella Rosa | clothing accessories |
Mirelle | beauty clothing |
Ombrella | home |
Plinth | furniture home |
Terrano | sport tools |
Yumiko | kitchen office |
Hearthline Kitchen Company | kitchen |
Universal Garment Works | clothing |
Great Northern Instruments | music office |
Aldous | office |
Nib & Co | office |
Ferrol | tools |
Bricoway | tools home |
Vantar | luggage | Light
Skandor | kitchen | Pro
Purelle | beauty grocery |
Dentora | beauty |
Cozynest | pets home baby |
Tumbletots | baby |
Aeroline | sport |
Solveig | home clothing |
"""

_SHORT = {
    "Hearthline Kitchen Company": ("HKC",),
    "Universal Garment Works": ("UGW",),
    "Great Northern Instruments": ("GNI",),
    "Red Kite Works": ("RKW",),
    "Oak & Ember": ("Oak and Ember", "O&E"),
    "Maison Belrive": ("M. Belrive",),
    "Marrow & Bloom": ("Marrow and Bloom",),
    "Clover & Cole": ("Clover+Cole",),
    "Stone Harbour": ("Stone Harbor",),
    "Chaumont Frères": ("Chaumont Freres",),
    "Brückner": ("Brueckner", "Bruckner"),
    "Søndal": ("Sondal",),
}


def _read(line: str) -> Brand:
    name, departments, lines = (cell.strip() for cell in line.split("|"))
    return Brand(
        name=name,
        departments=tuple(departments.split()),
        lines=tuple(lines.split()),
        short=_SHORT.get(name, ()),
    )


BRANDS: tuple[Brand, ...] = tuple(_read(line) for line in _TABLE.strip().splitlines())
"""Every brand, the most sold first."""

BRAND_OF: dict[str, Brand] = {brand.name: brand for brand in BRANDS}
"""Brands by canonical name."""

_FEWEST_MAKERS = 4


def _makers(kind: Kind) -> tuple[Brand, ...]:
    """The brands that make a kind: each brand of its department leaves some kinds out."""
    candidates = [brand for brand in BRANDS if kind.department in brand.departments]
    makers = [brand for brand in candidates if _hash(f"{kind.category}:{brand.name}") % 5 < 3]
    return tuple(makers if len(makers) >= _FEWEST_MAKERS else candidates)


MAKERS: dict[int, tuple[Brand, ...]] = {kind.category: _makers(kind) for kind in KINDS}
"""The brands that make each kind (by Google category id), the most sold first."""
