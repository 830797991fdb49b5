"""Words of product text, English and French, that the tokenizer learns beside those of the sample."""

WORDS = """
men mens women womens boys girls kids baby unisex adult junior toddler set pack pair piece pieces combo bundle size
small medium large extra xs xl xxl free one two three four five six ten new original genuine premium classic modern
vintage retro casual formal sports party wedding summer winter autumn spring indoor outdoor home office kitchen
garden travel school sleeve sleeves sleeveless half full short long regular slim fit loose relaxed skinny stretch
solid printed print striped stripes checked checkered floral graphic plain embroidered embellished polka dot
camouflage denim cotton polyester nylon leather synthetic rubber silicone steel stainless wooden wood metal plastic
glass ceramic paper silk wool linen velvet satin lace jersey fleece georgette chiffon blend fabric material black
white blue red green yellow orange pink purple grey gray brown beige navy olive maroon cream gold golden silver
copper bronze multicolor multicolour multi color colour light dark shirt tshirt shirts top tops tunic kurta kurti
saree sari salwar dupatta churidar patiala lehenga leggings jeggings tights trousers track pants jeans capri capris
shorts skirt dress gown romper jumpsuit sweater sweatshirt hoodie jacket blazer coat waistcoat shrug suit nightdress
nightwear pyjama pajama robe bra briefs boxers brief trunk vest innerwear socks stockings scarf stole shawl tie
cufflinks gloves mittens cap hat beanie belt wallet clutch purse handbag handbags bag bags backpack backpacks duffel
laptop messenger trolley suitcase luggage watch watches analog digital chronograph strap dial bracelet bangle
bangles earrings ring rings necklace pendant chain jewellery jewelry set sunglasses frame frames eyewear spectacle
shoes shoe sneakers sandals sandal slippers flip flops flats heels heel boots boot loafers floaters ballerina pumps
wedges running training football basketball tennis cricket badminton yoga gym fitness cycling swimming swimwear
perfume deodorant deo spray body mist cologne eau de toilette parfum lipstick lip gloss liner kajal eyeliner mascara
foundation compact primer concealer blush nail polish enamel lacquer cream lotion moisturiser moisturizer face wash
cleanser scrub mask serum sunscreen shampoo conditioner hair oil gel colour soap shower bath toothbrush toothpaste
razor shaving trimmer dryer straightener brush comb kit makeup skin care natural herbal organic mug mugs cup cups
plate plates bowl bowls glass glasses bottle bottles flask jar container containers lunch box tray spoon fork knife
knives cutter chopper peeler grater tawa kadhai pan pot cooker pressure kettle mixer grinder blender juicer toaster
oven microwave fryer iron vacuum cleaner fan heater cooler purifier bedsheet bed sheet sheets double single king
queen pillow cushion cover covers blanket quilt comforter curtain curtains towel towels mat rug carpet door window
table chair sofa desk shelf rack stand holder hanger hook organizer storage basket cabinet wardrobe mattress lamp
lamps bulb led lights lantern candle candles vase clock wall mirror painting poster sticker stickers decal showpiece
figurine figurines idol statue sculpture photo frame gift gifts decor decorative handmade handicraft antique brass
key keychain mobile phone phones case back cover screen guard protector tempered charger cable usb adapter power
bank battery earphones headphones headset speaker speakers bluetooth wireless wired mouse keyboard router modem pen
drive flash memory card hard disk ssd ram processor motherboard printer ink toner cartridge camera lens tripod
television monitor projector remote tablet laptops skin replacement hinge toy toys game puzzle doll car cars truck
train robot blocks building soft plush teddy bear board ball bat racket skates scooter bicycle helmet tyre tire
wiper seat mat motor bike motorcycle oil engine filter tool tools drill hammer wrench screwdriver saw pliers tape
measure nail screw bolt lock padlock safety paint roller ladder hose pipe tap faucet sink shower toilet plant plants
seed seeds flower flowers pot fertilizer dog cat fish bird pet collar leash food bed cage tank coffee tea chocolate
honey jam juice wine rice spice snack biscuit cookies book books novel diary notebook pencil pens marker eraser
stapler paper file folder guitar piano drum violin flute microphone stroller diaper diapers wipes feeding pacifier
cradle brand quality best price online buy shop delivery cash genuine guarantee warranty day replacement returns
shipping discount offer sales package contents features specifications general details key type number model pattern
occasion ideal suitable dimensions weight height width length depth inch inches cm mm kg gram ml litre liter watt
volt care instructions machine washable hand wash dry clean design designed stylish comfortable durable lightweight
waterproof resistant adjustable portable rechargeable easy use look perfect beautiful elegant unique trendy
collection fashion style homme femme enfant fille garçon bébé mixte taille petit petite grand grande lot de le la
les un une du des en et pour avec sans sur dans chemise t-shirt haut pull gilet veste manteau pantalon jean jupe
robe short chaussettes chaussures baskets bottes sandales escarpins ceinture cravate écharpe gants chapeau bonnet
casquette lunettes soleil montre bague bracelet collier boucles oreilles bijoux sac main dos portefeuille valise
cuir coton laine soie lin bois acier verre métal plastique noir blanc bleu rouge vert jaune rose gris marron violet
doré argenté cuisine maison jardin salon chambre bureau salle bain assiette tasse verre bouteille couteau fourchette
cuillère casserole poêle bouilloire four grille-pain cafetière lampe bougie vase miroir horloge tapis rideau coussin
couverture drap serviette canapé fauteuil chaise table lit armoire étagère meuble matelas téléphone ordinateur
portable clavier souris écran casque enceinte appareil photo câble chargeur batterie téléviseur tablette parfum
crème savon shampooing maquillage vernis brosse dents rasoir sèche-cheveux jouet peluche poupée jeu voiture vélo
ballon raquette tente poussette biberon couche tétine outil marteau perceuse tournevis scie vis clou peinture stylo
cahier papier livre agrafeuse chien chat oiseau poisson cage panier laisse café thé miel chocolat vin huile guitare
batterie pneu moto vêtements accessoires électronique beauté sport loisirs livraison gratuite garantie retour neuf
qualité nouveau nouvelle collection couleur matière lavable réglable étanche léger pratique idéal élégant tendance
electronics furniture hardware grocery beverages stationery instruments sporting goods apparel clothing footwear
accessories cosmetics personal health automotive vehicles parts media arts entertainment animals supplies cameras
optics lighting tableware drinkware cookware appliances bakeware cutlery textiles linens decoration decorations
religious mature software business industrial ceremonial toddlers nursery fragrance hygiene equipment athletic
recreation exercise
""".split()
"""Lower-case words; those that many catalogs share come first."""
