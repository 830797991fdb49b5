"""The nodes of the Google product taxonomy that the sample uses, with their ancestors (version 2021-09-21)."""

VERSION = "2021-09-21"

NODES = """
1 Animals & Pet Supplies
    2 Pet Supplies
        3 Bird Supplies
            4989 Bird Cages & Stands
        5 Dog Supplies
            4434 Dog Beds
        6 Fish Supplies
            3238 Aquariums
166 Apparel & Accessories
    1604 Clothing
        2271 Dresses
        203 Outerwear
            5598 Coats & Jackets
        204 Pants
        212 Shirts & Tops
        207 Shorts
        1581 Skirts
        213 Underwear & Socks
            209 Socks
    167 Clothing Accessories
        169 Belts
        173 Hats
        176 Neckties
        178 Sunglasses
    6551 Handbags, Wallets & Cases
        3032 Handbags
        2668 Wallets & Money Clips
    188 Jewelry
        194 Earrings
        196 Necklaces
        201 Watches
    187 Shoes
8 Arts & Entertainment
    5710 Hobbies & Creative Arts
        54 Musical Instruments
            75 Percussion
                2518 Drum Kits
            77 String Instruments
                80 Guitars
537 Baby & Toddler
    2764 Baby Transport
        568 Baby Strollers
    561 Nursing & Feeding
        564 Baby Bottles
141 Cameras & Optics
    142 Cameras
        152 Digital Cameras
222 Electronics
    223 Audio
        2165 Audio Components
            505771 Headphones & Headsets
                543626 Headphones
            249 Speakers
    262 Communications
        270 Telephony
            267 Mobile Phones
    278 Computers
        328 Laptops
    2082 Electronics Accessories
        285 Computer Components
            1928 Input Devices
                303 Keyboards
                304 Mice & Trackballs
    386 Video
        404 Televisions
412 Food, Beverages & Tobacco
    413 Beverages
        1868 Coffee
    422 Food Items
        427 Condiments & Sauces
            4947 Honey
436 Furniture
    6433 Beds & Accessories
        505764 Beds & Bed Frames
    443 Chairs
        5886 Kitchen & Dining Room Chairs
    464 Shelving
        465 Bookcases & Standing Shelves
    460 Sofas
    6392 Tables
        6369 Accent Tables
            1395 Coffee Tables
632 Hardware
    1167 Tools
        1217 Drills
            2629 Handheld Power Drills
        1186 Hammers
        1203 Screwdrivers
469 Health & Beauty
    2915 Personal Care
        473 Cosmetics
            477 Makeup
                2645 Lip Makeup
                    3021 Lipstick
            478 Nail Care
                2683 Nail Polishes
            479 Perfume & Cologne
        486 Hair Care
            6019 Hair Styling Tools
                490 Hair Dryers
            2441 Shampoo & Conditioner
                543615 Shampoo
        526 Oral Care
            527 Toothbrushes
536 Home & Garden
    696 Decor
        3890 Clocks
            3840 Wall Clocks
        592 Home Fragrances
            588 Candles
        597 Picture Frames
        4454 Throw Pillows
        602 Vases
    638 Kitchen & Dining
        6070 Cookware & Bakeware
            654 Cookware
                662 Skillets & Frying Pans
        2920 Food & Beverage Carriers
            3809 Water Bottles
        730 Kitchen Appliances
            751 Electric Kettles
        668 Kitchen Tools & Utensils
            665 Kitchen Knives
        672 Tableware
            673 Dinnerware
                3553 Plates
            674 Drinkware
                2169 Mugs
                2712 Stemware
    689 Lawn & Garden
        3568 Watering & Irrigation
            6318 Watering Cans
    594 Lighting
        4636 Lamps
    4358 Parasols & Rain Umbrellas
5181 Luggage & Bags
    100 Backpacks
    107 Suitcases
783 Media
    784 Books
        543543 Print Books
922 Office Supplies
    2986 Office Instruments
        947 Staplers
        977 Writing & Drawing Instruments
            6065 Pens & Pencils
                982 Pens
988 Sporting Goods
    499713 Athletics
        1111 Soccer
            1112 Soccer Balls
        1065 Tennis
            3906 Tennis Racquets
    990 Exercise & Fitness
        499793 Weight Lifting
            3164 Free Weights
    1011 Outdoor Recreation
        1025 Cycling
            1026 Bicycles
        3276 Skateboarding
            1059 Skateboards
1239 Toys & Games
    1253 Toys
        1255 Dolls, Playsets & Toy Figures
            1257 Dolls
            1259 Stuffed Animals
        2505 Play Vehicles
            3551 Toy Cars
888 Vehicles & Parts
    5613 Vehicle Parts & Accessories
        899 Motor Vehicle Parts
            3020 Motor Vehicle Wheel Systems
                911 Motor Vehicle Tires
                    6093 Automotive Tires
        8301 Vehicle Safety & Security
            5547 Motorcycle Protective Gear
                2110 Motorcycle Helmets
"""
"""One node a line: id and name, four spaces deeper than its parent, which stands above."""
