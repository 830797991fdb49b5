"""General words of product feeds, in several languages: legal forms, colours, fits, sizes, placeholders, shop words.

All words are folded as `normalise.words_of` folds them: lower-case ASCII without accents. No brand is listed.
"""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _phrases(text: str) -> frozenset[str]:
    return frozenset(" ".join(phrase.split()) for phrase in text.split("|") if phrase.strip())


LEGAL_SUFFIXES = _words("""
    inc incorporated corp corporation ltd limited llc llp lp plc co company cos pvt private pte pty cic ltda
    gmbh ggmbh mbh ag kg kgaa ohg ug ek gbr ev se
    sa sas sasu sarl eurl snc sca scs scop
    spa srl srls sapa scarl sl slu sau slne sab saic sac eirl eireli cia ltee
    bv nv vof bvba sprl cvba
    ab hb as asa aps ivs oy oyj ky hf ehf ou uab sia
    kft rt zrt nyrt bt sro spol spzoo doo dd ad eood ood jsc ojsc pjsc cjsc ooo oao zao pao tov
    tbk bhd sdn kk gk sti tic psc fzco fze fzc wll saog qsc saoc
    kaisha gongsi
""")
"""One-word legal forms; stripped from the end of a name, never the whole of it."""

LEGAL_PHRASES = _phrases("""
    sa de cv | s a de cv | s a de c v | s de rl | s de rl de cv | sapi de cv | sp z oo | sp z o o | spol s ro |
    spol s r o | s r o
    | d o o | a s | co kg | gmbh co kg | private limited | pvt ltd | public limited company
    | proprietary limited | limited liability company | sdn bhd | kabushiki kaisha | san ve tic | ltd sti
    | cie | et cie | und co | y cia | e hijos sl
""")
"""Legal forms of several words."""

LEGAL_FORMS_UNSPACED = (
    "科技股份有限公司",
    "电子科技有限公司",
    "科技有限公司",
    "电子有限公司",
    "贸易有限公司",
    "商贸有限公司",
    "实业有限公司",
    "股份有限公司",
    "有限责任公司",
    "有限公司",
    "集团公司",
    "株式会社",
    "有限会社",
    "合同会社",
    "주식회사",
    "유한회사",
    "(株)",
    "(有)",
    "(주)",
    "(유)",
)
"""Legal forms of scripts without spaces, the longest first; they stand before a name or behind it."""

LEGAL_PREFIXES = _words("""
    ooo oao zao pao tov
""")
"""One-word legal forms that stand before a name ("ООО Ромашка")."""

UNKNOWN_PHRASES = _phrases("""
    n a | na | nan | none | null | nil | nul | nothing | not available | not applicable | not specified | not known
    | notapplicable | notavailable | notspecified | does not apply | doesnotapply | unspecified | unknown | undefined
    | undetermined | missing | empty | blank | tbd | tba | tbc | to be defined | see description | see title | see
    picture
    | as shown | as pictured | as per image | as per picture | other | others | misc | miscellaneous | various |
    varies
    | assorted | mixed | multi | multiple | multi brand | multibrand | multiple brands | default | standard | test
    | dummy
    | sample | brand | brands | brand name | the brand | manufacturer | xxx | xx | no | yes | not provided
    | please select | select | choose | ask seller | seller | vendor | supplier | not mentioned | no info
    | inconnu | inconnue | aucun | aucune | autre | autres | divers | non renseigne | non communique | non specifie
    | non defini | non applicable | non disponible | neant | vide | marque | sans objet | indefini
    | unbekannt | keine | kein | keine angabe | keine angaben | ohne angabe | k a | nicht angegeben | nicht zutreffend
    | nicht verfugbar | sonstige | sonstiges | andere | diverse | verschiedene | marke | hersteller | entfallt
    | desconocido | desconocida | ninguno | ninguna | no aplica | no disponible | no especificado | no definido | otro
    | otros | otra | otras | varios | varias | marca | fabricante | sin especificar | sin definir
    | sconosciuto | sconosciuta | nessuno | nessuna | altro | altri | altra | vari | varie | produttore
    | non specificato | non indicato | non definito | non applicabile
    | desconhecido | nenhum | nenhuma | outro | outros | nao se aplica | nao informado | diversos
    | onbekend | geen | overig | overige | merk | niet van toepassing | nvt | n v t
    | okand | ingen | ukjent | ukendt | tuntematon | nieznany | brak | inne | neznamy | bilinmiyor | yok
""")
"""Whole values that say that the brand is not told."""

UNBRANDED_PHRASES = _phrases("""
    generic | generics | generic brand | generic product | generic unbranded | unbranded generic | unbranded | un
    branded
    | non branded | nonbranded | not branded | brandless | without brand | no brand | nobrand | no brand name | no
    branded
    | no name | noname | no label | unlabeled | unlabelled | unlabled | non brand | nonbrand | oem | odm | oem generic
    | generic oem | white label | whitelabel | private label | local | local brand | no logo | imported | store brand
    | sans marque | marque generique | generique | marque inconnue | sans nom | sans griffe
    | ohne marke | markenlos | no name produkt | keine marke | generisch | markenlose ware | ohne markenname
    | sin marca | generico | generica | marca generica | sin nombre | marca blanca | marca propia
    | senza marca | senza marchio | nessuna marca | marca generica | non di marca | senza nome
    | sem marca | marca propria | merkloos | zonder merk | geen merk | huismerk | utan marke | markeslos | uden maerke
    | bez znacky | bez marki | markasiz | marka yok | no marca | non marque | non griffe | no brands | brak marki
    | tidak ada merk | tidak ada merek | tanpa merk | tanpa merek | tiada jenama | khong co thuong hieu
    | khong thuong hieu | bez brenda | net brenda | bezbrenda | choris marka | noburando | noburandopin | wupinpai
    | wupai | baipai | nobeulaendeu | beulaendeu eobseum | aimmiyiho | ll mvtg
""")
"""Whole values that say that the product has no brand."""

COLOURS = _words("""
    black white red blue green yellow pink purple grey gray brown beige maroon navy khaki turquoise teal magenta cyan
    lavender lilac mauve burgundy gold golden silver bronze mustard charcoal fuchsia offwhite multicolor multicolour
    multicolored multicoloured multicolors multicolours colour color colorful colourful colors colours rosegold
    noir noire noirs noires blanc blanche blancs blanches rouge rouges bleu bleue bleus vert verte verts jaune jaunes
    gris grise marron dore doree argente argentee ecru bordeaux multicolore couleur
    rot blau grun gruen gelb silbern bunt mehrfarbig durchsichtig hellblau dunkelblau
    hellgrau dunkelgrau farbe farblos turkis
    negro negra rojo roja azul verde amarillo amarilla naranja rosado morado morada plateado plateada
    dorado dorada crudo granate multicolor
    nero nera rosso rossa giallo gialla arancione grigio grigia marrone argento dorato trasparente
    azzurro
    preto branco vermelho amarelo laranja roxo cinza prata zwart wit rood blauw groen geel oranje paars grijs bruin
""")
"""Names of colours; no brand where nothing else stands in the value."""

COLOURS_OR_NAMES = _words("""
    orange cream violet copper rust peach coral olive ivory aqua tan nude skin coffee wine indigo transparent
    clear rose
    roses rosa lila blu schwarz weiss grau braun blanco bianco bianca blanca celeste viola panna plata oro transparente
""")
"""Colours that are also names: no brand, unless titles open with them."""

COLOUR_SHADES = _words("""
    light dark hot deep pale bright royal sky baby neon metallic pastel off multi solid ice sea midnight bottle blood
    clair claire fonce foncee vif marine ciel hell dunkel claro clara oscuro oscura chiaro scuro and et und y e with
""")
"""Words that say something only beside a colour."""

FITS = _words("""
    regular slim skinny loose relaxed fit fits fitted tapered oversize oversized bootcut bootleg flared slimfit
    regularfit loosefit skinnyfit coupe ajustee ajuste normale passform ajustado holgado aderente sleeveless sleeve
    sleeves
""")
"""Words of a garment's fit."""

FIT_SHADES = _words("""
    extra super ultra modern classic custom comfort stretch straight tailored mid high low half full waist rise
    cut the
    droite ample schmal gerade weit length
""")
"""Words that say something only beside a fit."""

SIZES = _words("""
    xs s m l xl xxl xxxl xxxxl 2xl 3xl 4xl 5xl xxs small medium large xlarge xsmall size sizes onesize freesize taille
    grosse einheitsgrosse talla taglia
""")
"""Words of size; no brand where nothing else stands in the value."""

SIZE_SHADES = _words("""
    free one standard adjustable king queen double single twin mini plus petite tall unique unica grande pequeno
    pequena gross klein mittel piccolo piccola media cm mm m km in inch inches ft feet ml l cl ltr litre liter g
    gm gms
    kg mg oz lb lbs pcs pc piece pieces pack set w watt v volt ah mah gb tb mb eu uk us years year yrs months month x
""")
"""Words that say something only beside a size or a number."""

AUDIENCES = _words("""
    men man mens women woman womens unisex boy boys girl girls kid kids child children baby babies infant adult adults
    ladies lady gents gentlemen male female hommes femme femmes fille filles garcon garcons enfant enfants bebe mixte
    adulte herren damen kinder jungen madchen unisexe hombre hombres mujer mujeres nino nina ninos ninas uomo uomini
    donna donne bambino bambina bambini ragazzo ragazza neonato homem mulher infantil heren dames kinderen
""")
"""Words that say whom a product is for."""

PATTERNS = _words("""
    printed print plain striped stripes stripe checked checks checkered floral graphic embroidered embellished
    patterned
    pattern polka dotted dots geometric washed distressed textured woven knitted imprime raye rayee carreaux bedruckt
    gestreift kariert gemustert einfarbig estampado rayas cuadros liso stampato righe quadri
""")
"""Words of a pattern."""

MATERIALS = _words("""
    cotton silk wool woolen leather polyester nylon viscose rayon linen denim canvas velvet chiffon georgette lycra
    spandex fleece acrylic steel stainless metal brass aluminium aluminum alloy wood wooden plastic glass ceramic
    rubber
    silicone sterling plated cuir coton laine soie bois acier verre leder baumwolle wolle seide holz stahl algodon
    lana
    seda cuero madera acero vidrio plastico cotone pelle legno acciaio vetro lino seta synthetic faux pu
""")
"""Words of a material: no brand, unless titles open with them."""

COUNTRIES = _words("""
    india usa us uk america american britain germany deutschland france italy italia spain espana portugal netherlands
    nederland belgium belgique switzerland schweiz suisse austria osterreich sweden sverige norway norge denmark
    danmark
    finland suomi poland polska czech hungary romania greece turkey turkiye russia china taiwan japan korea indonesia
    malaysia singapore thailand vietnam philippines australia canada mexico brasil brazil argentina chile colombia uae
    dubai europe european asia global worldwide international africa pakistan bangladesh ireland eu world
    paris london milano milan roma york tokyo berlin amsterdam geneve barcelona madrid
""")
"""Names of places that a partner adds to a brand."""

SHOP_WORDS = _words("""
    store stores shop shops outlet official officiel offiziell oficial ufficiale boutique brand brands online retail
    retailer seller mall market mart shopping direct tienda negozio magasin laden com net eu authentic genuine
    original
    importer importers distributor distributors wholesale trading traders dealer dealers sales marketing
""")
"""Words of selling that a partner adds to a brand."""

COMPANY_WORDS = _words("""
    technology technologies tech electronics electronic electric electrical systems system solutions industries
    industry
    industrial group groupe gruppe holding holdings enterprises enterprise manufacturing mfg products
    international intl
    laboratories labs laboratory pharma pharmaceuticals healthcare health cosmetics beauty fashion fashions clothing
    apparel apparels garments textile textiles footwear shoes jewellery jewelry jewels jeans denim sportswear
    sports sport
    design designs designers studio studios collection collections creation creations exports export overseas
    foods food
    beverages toys publishing publications home furniture appliances tools instruments works software computer
    computers
    mobile mobiles audio video watches watch fragrances fragrance perfume perfumes parfums parfum eyewear accessories
    lifestyle equipment outdoor essentials professional pro kids men women bags lingerie innerwear underwear intimates
    baby junior
""")
"""Words of trade and of departments that follow a maker's name."""

LINE_WORDS = _words("""
    originals original classic classics premium basic basics pack combo set series edition collection new sport sports
    style casual formal core essential essentials active plus lite kids men women junior for her him black white
    colour color label limited signature studio
""")
"""Words of lines that many makers have."""

OPENING_WORDS = _words("""
    royal smart home house fresh pure natural nature star sun moon sky sea ocean happy lucky little big great
    grand new
    old first best super top mega max ultra prime elite premium fashion style trendy classic vintage retro modern
    urban
    city street global world universal national king queen prince princess golden black white red blue green
    silver gold
    diamond pearl crystal magic dream angel baby kids lady miss mister master doctor dr life love easy quick fast
    simple
    eco bio green power energy active sport sports fit body health beauty wild free true real good nice sweet hot cool
    ice fire water air earth stone rock wood iron steel metal lion tiger eagle wolf bear dragon rose flower garden art
    craft design digital cyber tech auto car bike pet dog cat toy food kitchen sai shree shri sri jai om
    royale petit petite grand grande bon belle beau maison neu neue gross klein haus casa nuevo nueva bella bello
    french german swiss italian english british scottish irish welsh dutch spanish swedish danish finnish russian
    turkish greek indian chinese japanese korean african nordic scandinavian oriental pacific atlantic baltic alpine
    arctic polar north south east west northern southern eastern western central general standard united dual
    nuovo nuova san santa saint st mont val von van de la le el los il the my our your one two three
""")
"""Ordinary words that open many brand names."""

GIVEN_NAMES = _words("""
    aaron adam adrian alain alan albert alberto alessandro alex alexander alfred alfredo alice allen amanda amelia amy
    andre andrea andrew andy angela anita ann anna anne annie anthony antonio arnold arthur barbara ben benjamin
    bernard
    betty bill billy bob bobby brandon brian bruce bruno calvin carl carla carlo carlos carol carolina caroline
    catherine
    celine charles charlie charlotte chris christian christina christine christopher claire clara claude claudia cole
    craig cristina daisy dan daniel daniela david dean debbie deborah dennis diana diane diego dolores don donald
    donna
    dorothy doug douglas eddie edward edwin elena elisabeth elizabeth ella ellen emily emma enrico enzo eric erik
    ernest
    esther eva eve evelyn federico felix fernando florence frances francesca francesco francis francisco franco
    francois
    frank frankie fred frederic gabriel gary george georges georgia gerald gerard gianni gilbert gina giorgio giovanni
    giuseppe gloria gordon grace greg gregory guido guy hans harold harry harvey heather hector heinz helen helena
    helga
    henri henry herbert howard hugh hugo ian ines irene isabel isabella ivan jack jackie jacob jacques jake james
    jamie
    jan jane janet jason jay jean jeff jennifer jenny jeremy jerry jessica jim jimmy joan joe joel johan johann john
    johnny jonas jonathan jordan jorge jose joseph josh juan judith judy jules julia julian julie julien june
    justin karen
    karl kate katherine kathy katie keith kelly ken kenneth kenny kevin kim kurt kyle larry laura lauren laurent
    lee leo
    leon leonard leonardo leslie lewis liam lily linda lisa logan lois lola lorenzo louis louise luc luca lucas lucia
    lucy luigi luis luke madison marc marcel marcello marco marcus margaret maria marie mario marion marius mark
    martha
    martin martina mary mason mathilde matt matteo matthew maurice max mia michael michel michelle miguel mike miles
    mona monica morgan nancy natalie nathan neil nick nicolas nicole nina noah nora norman olga oliver olivia
    oscar otto
    pablo pamela paola paolo pascal patricia patrick paul paula pedro penny perry pete peter phil philip philippe
    pierre
    rachel ralph ramon raphael ray raymond rebecca rene ricardo richard rick ricky rita rob robert roberto robin rocco
    rodney roger roland roman romeo ron ronald rosa rosie ross roy ruby rudolf rupert ruth ryan sally salvatore sam
    samantha samuel sandra sara sarah scott sean sebastian serge sergio seth sharon sheila shirley silvia simon simone
    sofia sonia sophia sophie stan stefan stefano stella stephanie stephen steve steven stuart susan susanna suzanne
    sylvia ted teresa terry theo theodor theresa thomas tim timothy tina todd tom tommy toni tonino tony tracy ulrich
    ursula valentina valentino vanessa vera veronica victor victoria vincent vincenzo virginia vittorio vivian wallace
    walter warren wayne wendy wilhelm will william wolfgang xavier yves yvonne zoe
    ravi raj ram kumar anil amit sunil rahul ajay vijay priya anita sanjay deepak arjun krishna lakshmi ali ahmed
    hassan
    mohammed omar fatima li wang zhang chen
    smith johnson brown jones taylor davis miller wilson moore anderson jackson white harris clark baker hall young
    wright hill green adams nelson carter mitchell roberts turner phillips campbell parker evans edwards collins morris
    rogers cook bell murphy bailey cooper richardson cox ward gray watson brooks bennett wood henderson jenkins powell
    patterson hughes butler foster fisher hunter mueller muller schmidt schneider fischer weber meyer wagner becker
    dupont dubois durand moreau rossi russo garcia fernandez gonzalez rodriguez lopez martinez sanchez perez gomez
    silva santos singh sharma gupta patel khan jain shah agarwal
""")
"""Common given names and surnames: a name that opens many brands says little about any one of them."""
