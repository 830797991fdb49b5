"""The drawings of the sample's products, one or more for each Google category id, in a small drawing language.

A line is one shape: its operation, its paint, and coordinates from -1,-1 (top left) to 1,1 (bottom right).

    poly PAINT x,y ...          a closed polygon
    blob PAINT x,y ...          a closed smooth outline through the points
    oval PAINT x,y rx,ry        an ellipse about x,y
    box PAINT x,y x,y           a rectangle between two corners
    line PAINT WIDTH x,y ...    an open line
    curve PAINT WIDTH x,y ...   an open smooth line through the points
    ring PAINT WIDTH x,y rx,ry  the outline of an ellipse
    mark x,y r                  the brand's logo

Paints: main (the product's colour), shade and tint (the same, darker and lighter), second (a colour that goes with it),
dark, light, metal, wood, glass, gold, and back (what lies behind).
"""

DRAWINGS: dict[int, str] = {
    187: """
blob main -.9,.35 -.88,-.1 -.7,-.38 -.4,-.3 -.1,0 .4,.08 .8,.2 .92,.38 .3,.45 -.5,.45
box light -.92,.36 .95,.52
box dark -.92,.5 .95,.55
line light .05 -.35,-.22 -.1,-.12
line light .05 -.22,-.1 .02,-.02
line light .05 -.06,0 .16,.05
mark -.5,.12 .16

poly main -.85,-.35 -.55,-.45 -.3,-.1 .2,.3 .7,.35 .9,.5 .1,.54 -.45,.12 -.68,.05 -.72,.56 -.8,.56 -.82,0
poly shade -.55,-.45 -.3,-.1 .2,.3 .4,.33 .1,.32 -.4,-.02
""",
    212: """
poly main -.28,-.72 .28,-.72 .6,-.6 .95,-.15 .68,.05 .5,-.18 .5,.78 -.5,.78 -.5,-.18 -.68,.05 -.95,-.15 -.6,-.6
oval shade 0,-.72 .24,.14
oval back 0,-.76 .18,.12
mark .2,-.2 .14

poly main -.25,-.75 .25,-.75 .6,-.62 .85,.55 .62,.6 .48,-.1 .48,.8 -.48,.8 -.48,-.1 -.62,.6 -.85,.55 -.6,-.62
poly tint -.25,-.75 0,-.5 .25,-.75 .12,-.8 -.12,-.8
line shade .03 0,-.5 0,.8
oval light 0,-.3 .03,.03
oval light 0,0 .03,.03
oval light 0,.3 .03,.03
oval light 0,.6 .03,.03
mark .24,-.2 .1
""",
    204: """
poly main -.42,-.9 .42,-.9 .55,.9 .18,.9 0,-.2 -.18,.9 -.55,.9
box shade -.42,-.9 .42,-.78
line shade .03 0,-.78 0,-.3
line tint .03 -.36,-.72 -.18,-.55
line tint .03 .36,-.72 .18,-.55
""",
    2271: """
poly main -.3,-.9 -.18,-.9 -.1,-.65 .1,-.65 .18,-.9 .3,-.9 .34,-.45 .22,-.15 -.22,-.15 -.34,-.45
poly main .22,-.15 .7,.85 .3,.95 -.3,.95 -.7,.85 -.22,-.15
box second -.24,-.2 .24,-.08
line shade .03 -.1,0 -.3,.85
line shade .03 .1,0 .3,.85

poly main -.25,-.9 .25,-.9 .5,-.8 .62,-.35 .42,-.3 .32,-.5 .28,-.1 -.28,-.1 -.32,-.5 -.42,-.3 -.62,-.35 -.5,-.8
poly main .28,-.1 .45,.9 -.45,.9 -.28,-.1
line shade .05 -.28,-.1 .28,-.1
line shade .03 0,0 .05,.85
""",
    1581: """
poly main -.35,-.6 .35,-.6 .85,.65 .4,.75 -.4,.75 -.85,.65
box shade -.36,-.68 .36,-.52
line shade .03 -.15,-.5 -.4,.72
line shade .03 0,-.5 0,.74
line shade .03 .15,-.5 .4,.72
""",
    207: """
poly main -.55,-.55 .55,-.55 .8,.5 .12,.58 0,-.05 -.12,.58 -.8,.5
box shade -.56,-.65 .56,-.48
line light .03 -.08,-.5 -.12,-.2
line light .03 .08,-.5 .12,-.2
line tint .03 -.5,-.4 -.35,-.1
line tint .03 .5,-.4 .35,-.1
""",
    5598: """
poly main -.3,-.8 .3,-.8 .65,-.6 .95,.55 .65,.65 .52,.1 .55,.9 -.55,.9 -.52,.1 -.65,.65 -.95,.55 -.65,-.6
poly shade -.3,-.8 0,-.1 .3,-.8 .45,-.6 .08,.1 -.08,.1 -.45,-.6
line metal .04 0,-.1 0,.9
line shade .04 -.42,.4 -.2,.5
line shade .04 .42,.4 .2,.5
mark .3,0 .1

poly main -.55,-.5 .55,-.5 .98,.5 .72,.62 .5,.15 .5,.85 -.5,.85 -.5,.15 -.72,.62 -.98,.5
blob shade -.4,-.45 -.35,-.85 0,-.98 .35,-.85 .4,-.45 0,-.3
blob dark -.22,-.45 -.2,-.72 0,-.8 .2,-.72 .22,-.45 0,-.36
line light .05 0,-.3 0,.85
line shade .04 -.48,-.1 .48,-.1
line shade .04 -.48,.25 .48,.25
line shade .04 -.48,.55 .48,.55
""",
    209: """
poly main -.5,-.85 -.1,-.85 -.1,.15 .35,.45 .38,.7 .15,.8 -.4,.5 -.52,.2
box second -.52,-.88 -.08,-.65
blob second .2,.45 .38,.5 .38,.72 .15,.8
poly main .1,-.75 .5,-.75 .5,.2 .85,.45 .9,.7 .65,.8 .2,.5 .1,.25
box second .08,-.78 .52,-.55
""",
    173: """
blob main -.65,.2 -.6,-.3 -.2,-.62 .25,-.55 .5,-.2 .52,.2
blob shade .3,.1 .75,.15 1,.35 .6,.32 -.1,.26
line shade .03 -.1,-.6 -.1,.2
oval shade -.05,-.62 .06,.05
mark .15,-.15 .14

oval main 0,.3 .98,.26
blob tint -.5,.28 -.42,-.45 0,-.6 .42,-.45 .5,.28 0,.4
poly second -.5,.1 .5,.1 .51,.3 0,.38 -.51,.3

blob main -.6,.3 -.55,-.3 0,-.65 .55,-.3 .6,.3
box shade -.66,.15 .66,.5
oval second 0,-.7 .18,.18
line tint .03 -.25,-.4 -.28,.15
line tint .03 .25,-.4 .28,.15
line tint .03 0,-.5 0,.15
""",
    178: """
oval main -.48,0 .42,.36
oval main .48,0 .42,.36
oval dark -.48,0 .34,.29
oval dark .48,0 .34,.29
line main .08 -.15,-.12 .15,-.12
line main .07 -.9,-.1 -.98,-.3
line main .07 .9,-.1 .98,-.3
line glass .04 -.65,-.1 -.5,-.2
line glass .04 .3,-.1 .46,-.2
""",
    176: """
poly main -.14,-.6 .14,-.6 .3,.6 0,.92 -.3,.6
poly shade -.2,-.92 .2,-.92 .14,-.6 -.14,-.6
line second .07 -.2,-.1 .18,-.4
line second .07 -.24,.3 .24,-.05
line second .07 -.26,.65 .28,.32
""",
    169: """
ring main .2 0,0 .8,.42
box metal -.2,.26 .2,.6
box main -.1,.34 .1,.52
line metal .05 -.1,.43 .16,.43
oval dark .36,.38 .03,.03
oval dark .5,.33 .03,.03

box main -.98,-.16 .98,.16
box gold -.9,-.28 -.5,.28
box back -.8,-.18 -.6,.18
box main -.98,-.16 -.7,.16
line gold .05 -.78,0 -.48,0
oval dark .4,0 .04,.04
oval dark .58,0 .04,.04
oval dark .76,0 .04,.04
""",
    2668: """
box main -.8,-.55 .8,.55
box shade -.8,-.55 0,.55
line tint .03 -.74,-.48 .74,-.48
line tint .03 -.74,.48 .74,.48
box second .15,-.3 .7,-.2
box second .15,-.08 .7,.02
box second .15,.14 .7,.24
mark -.4,.2 .12
""",
    3032: """
ring shade .08 0,-.35 .38,.48
poly main -.65,-.3 .65,-.3 .85,.75 -.85,.75
poly shade -.65,-.3 .65,-.3 .7,0 -.7,0
box gold -.1,-.06 .1,.12
mark 0,.4 .14

curve shade .06 -.7,-.15 -.4,-.8 .4,-.8 .7,-.15
blob main -.85,-.1 -.6,-.3 .6,-.3 .85,-.1 .8,.55 .4,.7 -.4,.7 -.8,.55
poly tint -.8,-.15 .8,-.15 0,.35
oval gold 0,.3 .08,.08
""",
    201: """
box shade -.22,-.95 .22,.95
oval metal 0,0 .52,.52
oval light 0,0 .43,.43
ring main .05 0,0 .43,.43
line dark .05 0,0 0,-.3
line dark .05 0,0 .22,.1
box metal .5,-.08 .62,.08
mark 0,.22 .07

box main -.26,-.95 .26,.95
box metal -.46,-.5 .46,.5
box dark -.38,-.42 .38,.42
line light .04 -.2,-.12 .2,-.12
line second .04 -.2,.06 .1,.06
line second .04 -.2,.2 .15,.2
""",
    196: """
curve gold .05 -.6,-.9 -.55,-.2 0,.3 .55,-.2 .6,-.9
poly main 0,.28 .2,.5 0,.88 -.2,.5
poly tint 0,.28 .2,.5 -.2,.5

oval main -.62,-.5 .09,.09
oval main -.6,-.28 .09,.09
oval main -.52,-.06 .1,.1
oval main -.38,.14 .11,.11
oval main -.2,.28 .12,.12
oval main 0,.34 .13,.13
oval main .2,.28 .12,.12
oval main .38,.14 .11,.11
oval main .52,-.06 .1,.1
oval main .6,-.28 .09,.09
oval main .62,-.5 .09,.09
curve metal .03 -.62,-.5 -.4,-.85 .4,-.85 .62,-.5
""",
    194: """
ring gold .09 -.45,.15 .32,.42
ring gold .09 .45,.15 .32,.42
oval main -.45,-.32 .1,.1
oval main .45,-.32 .1,.1

curve gold .04 -.45,-.3 -.5,-.6 -.35,-.65 -.32,-.5
curve gold .04 .45,-.3 .4,-.6 .55,-.65 .58,-.5
poly main -.45,-.3 -.2,.25 -.45,.6 -.7,.25
poly main .45,-.3 .7,.25 .45,.6 .2,.25
poly tint -.45,-.3 -.3,.2 -.45,.3 -.6,.2
poly tint .45,-.3 .6,.2 .45,.3 .3,.2
""",
    100: """
ring shade .08 0,-.75 .2,.2
blob main -.6,.8 -.66,0 -.55,-.55 0,-.78 .55,-.55 .66,0 .6,.8
blob shade -.45,.72 -.46,.2 0,.12 .46,.2 .45,.72
line light .04 -.45,-.05 .45,-.05
line light .03 -.4,.28 .4,.28
box shade -.82,.1 -.62,.65
box shade .62,.1 .82,.65
mark 0,.5 .13
""",
    107: """
line metal .06 -.25,-.6 -.25,-.95 .25,-.95 .25,-.6
box main -.55,-.62 .55,.8
line shade .05 -.28,-.55 -.28,.72
line shade .05 0,-.55 0,.72
line shade .05 .28,-.55 .28,.72
oval dark -.42,.88 .1,.1
oval dark .42,.88 .1,.1
mark 0,-.3 .1
""",
    2169: """
ring main .13 .58,.05 .26,.34
poly main -.6,-.6 .5,-.6 .46,.6 .38,.7 -.48,.7 -.56,.6
oval shade -.05,-.6 .55,.13
oval dark -.05,-.58 .45,.09
mark -.08,.1 .2

ring shade .1 .6,-.05 .24,.22
blob main -.62,-.4 .56,-.4 .5,.1 .3,.45 -.35,.45 -.56,.1
oval wood -.03,-.4 .55,.14
oval light 0,.58 .8,.1
""",
    2712: """
blob glass -.42,-.85 .42,-.85 .48,-.4 .3,-.02 0,.08 -.3,-.02 -.48,-.4
blob main -.44,-.5 .44,-.5 .3,-.05 0,.06 -.3,-.05
line glass .06 0,.05 0,.72
oval glass 0,.78 .42,.09

poly glass -.58,-.9 -.22,-.9 -.3,.1 -.5,.1
poly main -.56,-.6 -.24,-.6 -.3,.1 -.5,.1
line glass .05 -.4,.1 -.4,.8
oval glass -.4,.84 .28,.06
poly glass .22,-.8 .58,-.8 .5,.2 .3,.2
poly main .24,-.5 .56,-.5 .5,.2 .3,.2
line glass .05 .4,.2 .4,.84
oval glass .4,.88 .28,.06
""",
    3553: """
oval main 0,0 .92,.92
oval tint 0,0 .86,.86
ring shade .04 0,0 .6,.6
oval light 0,0 .57,.57

oval shade 0,.5 .95,.3
oval main 0,.42 .95,.3
oval shade 0,.25 .95,.3
oval main 0,.17 .95,.3
oval shade 0,0 .95,.3
oval main 0,-.08 .95,.3
oval tint 0,-.08 .65,.19
""",
    662: """
poly dark .4,-.2 .98,-.75 .98,-.6 .5,0
oval metal -.2,.15 .72,.72
oval main -.2,.15 .64,.64
oval shade -.2,.15 .52,.52
line tint .04 -.5,0 -.2,-.2

box dark .5,-.12 1,.02
poly main -.95,-.2 .6,-.2 .45,.3 -.8,.3
oval shade -.17,-.2 .78,.12
""",
    665: """
poly metal -.95,-.08 .25,-.25 .25,.22 -.2,.25 -.7,.12
line light .03 -.85,0 .2,.12
box main .25,-.25 .95,.02
oval light .45,-.11 .04,.04
oval light .75,-.11 .04,.04
""",
    751: """
curve dark .12 .35,-.6 .85,-.5 .85,.1 .5,.45
poly main -.4,-.55 .3,-.55 .55,.65 -.6,.65
poly main -.4,-.45 -.75,-.35 -.45,-.1
box dark -.65,.65 .6,.8
oval shade -.05,-.58 .36,.1
oval dark -.05,-.68 .1,.08
box glass -.1,-.2 .05,.4
mark .25,.2 .1
""",
    3809: """
box main -.32,-.45 .32,.9
poly main -.32,-.45 .32,-.45 .18,-.68 -.18,-.68
box dark -.2,-.92 .2,-.66
ring dark .05 0,-.88 .12,.12
line tint .05 -.2,-.35 -.2,.8
mark .04,.2 .16
""",
    602: """
blob main -.2,-.5 .2,-.5 .15,-.2 .5,.3 .35,.85 -.35,.85 -.5,.3 -.15,-.2
oval shade 0,-.5 .2,.06
line second .04 -.48,.25 .48,.25

curve wood .03 0,-.1 -.2,-.55 -.35,-.8
curve wood .03 0,-.1 .05,-.6 0,-.9
curve wood .03 0,-.1 .2,-.5 .4,-.7
oval second -.35,-.8 .13,.11
oval second 0,-.9 .12,.11
oval second .4,-.7 .13,.11
poly main -.3,-.15 .3,-.15 .42,.85 -.42,.85
line tint .05 -.2,0 -.26,.75
""",
    4636: """
poly light -.3,-.9 .3,-.9 .62,-.15 -.62,-.15
poly tint -.3,-.9 .1,-.9 .2,-.15 -.62,-.15
line metal .06 0,-.15 0,.2
blob main -.15,.15 .15,.15 .28,.5 .15,.8 -.15,.8 -.28,.5
box shade -.35,.8 .35,.9

poly main -.35,-.95 .35,-.95 .5,-.5 -.5,-.5
line dark .05 0,-.5 0,.85
oval dark 0,.88 .4,.08

line main .08 -.1,.75 -.45,.05 .2,-.5
poly main .05,-.75 .5,-.6 .7,-.1 .05,-.3
oval light .4,-.2 .3,.1
oval shade -.1,.8 .45,.12
oval metal -.45,.05 .07,.07
""",
    3840: """
oval main 0,0 .85,.85
oval light 0,0 .72,.72
line dark .05 0,-.7 0,-.55
line dark .05 0,.7 0,.55
line dark .05 -.7,0 -.55,0
line dark .05 .7,0 .55,0
line dark .07 0,0 -.3,-.32
line dark .05 0,0 .1,-.55
line second .03 0,.1 .3,.35

box main -.8,-.8 .8,.8
box light -.66,-.66 .66,.66
line dark .06 0,-.6 0,-.45
line dark .06 0,.6 0,.45
line dark .06 -.6,0 -.45,0
line dark .06 .6,0 .45,0
line dark .07 0,0 .32,-.2
line dark .05 0,0 -.15,.48
""",
    588: """
box main -.3,-.3 .3,.85
oval tint 0,-.3 .3,.08
line dark .04 0,-.3 0,-.45
blob gold 0,-.85 .1,-.6 0,-.43 -.1,-.6

box glass -.5,-.35 .5,.8
box main -.46,-.1 .46,.76
box light -.3,.1 .3,.5
line dark .04 0,-.1 0,-.3
blob gold 0,-.72 .1,-.45 0,-.3 -.1,-.45
mark 0,.3 .1
""",
    4454: """
blob main -.9,-.85 0,-.68 .9,-.85 .72,0 .9,.85 0,.7 -.9,.85 -.72,0
line second .08 -.7,-.3 .7,-.3
line second .08 -.7,.3 .7,.3

blob main -.9,-.85 0,-.68 .9,-.85 .72,0 .9,.85 0,.7 -.9,.85 -.72,0
poly second 0,-.5 .5,0 0,.5 -.5,0
poly tint 0,-.25 .25,0 0,.25 -.25,0
""",
    597: """
box main -.7,-.9 .7,.9
box light -.55,-.75 .55,.75
box glass -.4,-.55 .4,.55
poly second -.4,.55 -.1,.05 .1,.3 .25,.15 .4,.55
oval gold .18,-.28 .1,.1
""",
    6318: """
ring main .1 .35,-.1 .5,.45
poly main -.3,-.25 .5,-.25 .6,.75 -.4,.75
poly main -.36,.45 -.3,.2 -.8,-.4 -.88,-.32
oval shade -.86,-.38 .14,.17
oval shade .1,-.25 .4,.08
""",
    4358: """
poly main -.95,.05 -.75,-.4 -.35,-.7 0,-.78 .35,-.7 .75,-.4 .95,.05 .62,-.06 .32,.05 0,-.06 -.32,.05 -.62,-.06
poly shade 0,-.78 .32,.05 0,-.06 -.32,.05
line metal .05 0,-.9 0,.65
curve dark .07 0,.6 .05,.85 .22,.85 .26,.68

poly main -.12,-.75 .12,-.75 .2,.3 0,.5 -.2,.3
line shade .03 0,-.75 0,.5
line metal .04 0,-.95 0,-.75
line second .05 -.2,.05 .2,.05
curve wood .08 0,.45 0,.75 .12,.92 .28,.8
""",
    460: """
box shade -.8,-.5 .8,.2
box main -.95,-.2 -.68,.5
box main .68,-.2 .95,.5
box main -.7,.05 .7,.45
line shade .04 0,.05 0,.45
box tint -.62,-.35 -.05,.08
box tint .05,-.35 .62,.08
box wood -.85,.5 -.75,.68
box wood .75,.5 .85,.68
""",
    505764: """
box wood -.95,-.65 -.8,.7
box wood .85,-.1 .97,.7
box main -.82,.15 .88,.45
box light -.8,-.05 .86,.18
blob light -.78,-.05 -.75,-.25 -.4,-.25 -.35,-.05
poly main -.3,-.08 .86,-.08 .86,.2 -.3,.2
box wood -.82,.45 .88,.55

blob shade -.75,.2 -.75,-.6 0,-.85 .75,-.6 .75,.2
poly light -.62,-.05 .62,-.05 .85,.6 -.85,.6
blob light -.55,-.05 -.5,-.3 -.1,-.3 -.05,-.05
blob light .05,-.05 .1,-.3 .5,-.3 .55,-.05
poly main -.7,.2 .7,.2 .85,.62 -.85,.62
box wood -.88,.6 .88,.75
""",
    1395: """
poly main -.65,-.3 .65,-.3 .98,.05 -.98,.05
box shade -.98,.05 .98,.15
poly wood -.9,.15 -.8,.15 -.78,.7 -.86,.7
poly wood .9,.15 .8,.15 .78,.7 .86,.7
line wood .06 -.55,.15 -.55,.45
line wood .06 .55,.15 .55,.45

oval shade 0,-.07 .95,.3
oval main 0,-.15 .95,.3
line dark .06 -.5,.1 -.65,.7
line dark .06 .5,.1 .65,.7
line dark .06 0,.15 0,.75
""",
    5886: """
poly main -.5,-.9 .2,-.9 .25,-.05 -.45,-.05
poly tint -.5,0 .3,0 .65,.25 -.3,.25
line wood .07 -.45,-.9 -.45,.9
line wood .07 .2,0 .22,.65
line wood .07 .6,.25 .6,.9
line wood .07 -.25,.25 -.25,.95

line wood .08 -.4,-.9 -.4,.9
line wood .08 .4,-.9 .4,.9
box wood -.4,-.85 .4,-.68
box wood -.4,-.5 .4,-.38
box main -.5,0 .5,.18
""",
    465: """
box wood -.6,-.95 .6,.95
box shade -.5,-.86 .5,-.3
box shade -.5,-.22 .5,.3
box shade -.5,.38 .5,.86
box main -.45,-.8 -.3,-.3
box second -.28,-.72 -.15,-.3
box light -.1,-.76 0,-.3
box gold .1,-.1 .2,.3
box main .22,-.15 .36,.3
oval light -.2,.12 .14,.18
box second -.4,.55 .1,.86
""",
    328: """
box dark -.65,-.7 .65,.2
box glass -.58,-.62 .58,.12
poly main -.65,.2 .65,.2 .95,.6 -.95,.6
poly dark -.55,.25 .55,.25 .68,.42 -.68,.42
poly shade -.2,.46 .2,.46 .25,.56 -.25,.56
mark 0,-.25 .12
""",
    267: """
box main -.45,-.95 .45,.95
box glass -.39,-.82 .39,.82
oval dark 0,-.88 .04,.03
box second -.28,-.6 -.08,-.42
box gold .08,-.6 .28,-.42
box light -.28,-.3 -.08,-.12
box tint .08,-.3 .28,-.12
box light -.28,.55 .28,.68

box main -.45,-.95 .45,.95
box shade -.38,-.88 0,-.4
oval dark -.26,-.75 .09,.09
oval dark -.12,-.54 .09,.09
oval light .12,-.78 .04,.04
mark 0,.2 .13
""",
    543626: """
curve main .14 -.7,.2 -.65,-.5 0,-.85 .65,-.5 .7,.2
blob shade -.9,.1 -.75,-.1 -.5,0 -.48,.6 -.7,.7 -.88,.5
blob shade .9,.1 .75,-.1 .5,0 .48,.6 .7,.7 .88,.5
oval dark -.52,.3 .1,.3
oval dark .52,.3 .1,.3
""",
    249: """
box main -.5,-.9 .5,.9
oval dark 0,-.45 .25,.25
oval metal 0,-.45 .1,.1
oval dark 0,.3 .42,.42
ring metal .04 0,.3 .42,.42
oval shade 0,.3 .16,.16
mark 0,.82 .06

box main -.9,-.4 .9,.4
oval shade -.9,0 .2,.4
oval shade .9,0 .2,.4
oval dark -.4,0 .27,.27
oval dark .4,0 .27,.27
oval metal -.4,0 .1,.1
oval metal .4,0 .1,.1
mark 0,0 .1
""",
    404: """
box dark -.98,-.65 .98,.5
box main -.92,-.59 .92,.44
poly second -.92,.44 -.3,-.1 .1,.25 .5,-.15 .92,.44
oval gold .5,-.35 .14,.14
box dark -.12,.5 .12,.62
box dark -.45,.62 .45,.7
""",
    304: """
blob main -.45,.1 -.4,-.6 0,-.8 .4,-.6 .45,.1 .38,.65 0,.85 -.38,.65
line shade .04 0,-.8 0,-.1
line shade .04 -.44,-.08 .44,-.08
box dark -.06,-.6 .06,-.3
mark 0,.4 .12
""",
    303: """
box main -.98,-.38 .98,.42
line light .1 -.88,-.22 .88,-.22
line light .1 -.88,-.02 .88,-.02
line light .1 -.88,.16 .5,.16
line light .1 -.5,.32 .4,.32
line main .03 -.7,-.3 -.7,.25
line main .03 -.5,-.3 -.5,.25
line main .03 -.3,-.3 -.3,.25
line main .03 -.1,-.3 -.1,.25
line main .03 .1,-.3 .1,.25
line main .03 .3,-.3 .3,.25
line main .03 .5,-.3 .5,.25
line main .03 .7,-.3 .7,.25
""",
    152: """
box dark -.4,-.68 .15,-.4
box main -.9,-.48 .9,.6
box shade -.9,-.1 -.6,.6
oval metal .1,.08 .48,.48
oval dark .1,.08 .4,.4
oval glass .1,.08 .22,.22
oval light .02,-.02 .07,.07
box light .6,-.38 .82,-.2
oval second -.7,-.52 .1,.06
""",
    479: """
box gold -.16,-.9 .16,-.55
box metal -.12,-.55 .12,-.42
box glass -.55,-.42 .55,.85
box main -.46,-.15 .46,.76
box light -.25,.15 .25,.5
mark 0,.32 .1

oval gold 0,-.75 .16,.16
box gold -.1,-.65 .1,-.4
blob glass -.15,-.42 .15,-.42 .62,.2 .4,.82 -.4,.82 -.62,.2
blob main -.4,.02 .4,.02 .54,.3 .36,.74 -.36,.74 -.54,.3
""",
    3021: """
box dark -.25,.1 .25,.95
box gold -.21,-.25 .21,.12
poly main -.16,-.25 -.16,-.65 .1,-.92 .16,-.85 .16,-.25
line tint .04 -.08,-.28 -.08,-.65

box gold -.6,.05 -.3,.9
poly main -.56,.05 -.56,-.4 -.38,-.65 -.34,.05
box dark .15,-.4 .55,.9
box gold .15,.2 .55,.3
""",
    2683: """
poly dark -.16,-.95 .16,-.95 .22,-.1 -.22,-.1
blob main -.3,-.08 .3,-.08 .52,.3 .42,.85 -.42,.85 -.52,.3
line tint .06 -.3,.2 -.3,.65
mark .1,.45 .12
""",
    543615: """
box light -.16,-.95 .16,-.72
blob main -.2,-.72 .2,-.72 .48,-.45 .45,.9 -.45,.9 -.48,-.45
box light -.34,-.2 .34,.5
line second .05 -.22,.25 .22,.25
line second .05 -.22,.38 .15,.38
mark 0,.02 .13

line dark .07 -.35,-.9 0,-.9 0,-.6
box dark -.14,-.7 .14,-.5
box main -.42,-.5 .42,.9
box tint -.3,-.15 .3,.55
mark 0,.1 .14
line shade .05 -.2,.4 .2,.4
""",
    527: """
poly main -.95,.62 -.9,.75 .9,-.45 .82,-.6
line light .2 .5,-.42 .78,-.6
line second .06 .45,-.48 .74,-.66
line tint .05 -.6,.45 -.1,.12

box main -.08,-.75 .08,-.1
box light -.22,-.9 -.06,-.5
blob main -.14,-.15 .14,-.15 .2,.3 .16,.95 -.16,.95 -.2,.3
oval light 0,.15 .06,.08
line second .06 -.15,.6 .15,.6
""",
    490: """
poly main -.9,-.5 -.7,-.55 .3,-.6 .3,.05 -.7,0 -.9,-.05
oval main .35,-.28 .38,.36
oval dark .42,-.28 .2,.22
poly shade .05,0 .35,.05 .3,.9 .02,.9
poly dark -.98,-.58 -.86,-.55 -.86,0 -.98,.02
box light .1,.3 .22,.5
""",
    568: """
curve metal .06 -.5,-.6 -.85,-.75 -.95,-.5
line metal .06 -.6,-.6 .5,.6
line metal .06 .45,.05 -.4,.65
blob main -.55,.1 -.45,-.1 .5,-.1 .6,.1 .3,.35 -.35,.35
poly shade .5,-.1 -.1,-.1 -.2,-.6 .1,-.85 .4,-.75 .55,-.45
oval dark -.45,.72 .2,.2
oval metal -.45,.72 .1,.1
oval dark .5,.72 .2,.2
oval metal .5,.72 .1,.1
""",
    564: """
blob gold -.08,-.95 .08,-.95 .12,-.75 .24,-.58 -.24,-.58 -.12,-.75
box main -.32,-.6 .32,-.4
box glass -.36,-.4 .36,.9
box light -.32,-.05 .32,.85
line main .04 .1,0 .3,0
line main .04 .1,.25 .3,.25
line main .04 .1,.5 .3,.5
mark -.12,.35 .13
""",
    1026: """
ring dark .07 -.58,.3 .38,.38
ring dark .07 .58,.3 .38,.38
line main .07 -.58,.3 -.2,-.3 .38,-.3 .05,.3 -.58,.3
line main .07 -.25,-.42 .05,.3
line main .07 .32,-.5 .58,.3
line dark .07 -.38,-.45 -.12,-.45
curve dark .06 .32,-.5 .5,-.6 .6,-.5
oval metal .05,.3 .1,.1
""",
    3906: """
oval main .25,-.35 .5,.56
oval back .25,-.35 .41,.47
line light .02 0,-.7 .1,.05
line light .02 .17,-.8 .27,.1
line light .02 .35,-.8 .45,.05
line light .02 -.12,-.55 .58,-.65
line light .02 -.15,-.35 .65,-.45
line light .02 -.1,-.12 .62,-.22
poly main .02,.05 .3,.12 -.2,.5 -.28,.45
line dark .15 -.2,.42 -.65,.92
""",
    1112: """
oval light 0,0 .85,.85
ring shade .05 0,0 .85,.85
poly main 0,-.28 .27,-.08 .17,.24 -.17,.24 -.27,-.08
poly main 0,-.84 .25,-.78 .2,-.6 -.2,-.6 -.25,-.78
poly main .8,-.25 .84,.08 .62,.02 .58,-.25
poly main -.8,-.25 -.84,.08 -.62,.02 -.58,-.25
poly main .5,.68 .3,.8 .25,.55 .45,.48
poly main -.5,.68 -.3,.8 -.25,.55 -.45,.48
line dark .03 0,-.28 0,-.6
line dark .03 .27,-.08 .58,-.15
line dark .03 -.27,-.08 -.58,-.15
line dark .03 .17,.24 .3,.52
line dark .03 -.17,.24 -.3,.52
""",
    1059: """
blob main -.98,-.22 -.7,-.05 .7,-.05 .98,-.22 .9,0 .6,.12 -.6,.12 -.9,0
line dark .05 -.75,-.06 .75,-.06
box metal -.62,.1 -.42,.2
box metal .42,.1 .62,.2
oval second -.62,.28 .13,.13
oval second -.4,.28 .13,.13
oval second .62,.28 .13,.13
oval second .4,.28 .13,.13

blob main -.3,-.7 0,-.98 .3,-.7 .32,0 .3,.7 0,.98 -.3,.7 -.32,0
oval metal -.15,-.6 .03,.03
oval metal .15,-.6 .03,.03
oval metal -.15,.6 .03,.03
oval metal .15,.6 .03,.03
mark 0,0 .2
line second .06 -.28,-.35 .28,-.35
line second .06 -.28,.35 .28,.35
""",
    3164: """
box metal -.4,-.09 .4,.09
poly main -.9,-.3 -.75,-.42 -.5,-.42 -.38,-.3 -.38,.3 -.5,.42 -.75,.42 -.9,.3
poly main .9,-.3 .75,-.42 .5,-.42 .38,-.3 .38,.3 .5,.42 .75,.42 .9,.3
line shade .05 -.64,-.4 -.64,.4
line shade .05 .64,-.4 .64,.4

ring shade .14 0,-.4 .36,.4
oval main 0,.3 .6,.58
oval light 0,.3 .22,.22
mark 0,.3 .14
""",
    1259: """
oval main -.4,-.72 .2,.2
oval main .4,-.72 .2,.2
oval tint -.4,-.72 .1,.1
oval tint .4,-.72 .1,.1
oval shade -.55,.12 .2,.32
oval shade .55,.12 .2,.32
oval main 0,.35 .5,.5
oval main 0,-.4 .48,.42
oval tint 0,.4 .3,.32
oval shade -.35,.82 .24,.17
oval shade .35,.82 .24,.17
oval tint 0,-.28 .2,.15
oval dark -.18,-.48 .06,.06
oval dark .18,-.48 .06,.06
oval dark 0,-.34 .08,.05

oval main -.2,-.7 .11,.3
oval main .2,-.7 .11,.3
oval main 0,-.25 .38,.34
oval main 0,.4 .42,.46
oval light 0,.42 .25,.3
oval main -.38,.8 .25,.15
oval main .38,.8 .25,.15
oval dark -.14,-.3 .05,.06
oval dark .14,-.3 .05,.06
oval second 0,-.16 .06,.05
""",
    3551: """
blob main -.95,.3 -.9,-.02 -.5,-.1 -.3,-.45 .3,-.45 .55,-.1 .9,0 .97,.3
poly glass -.38,-.08 -.24,-.36 -.02,-.36 -.02,-.08
poly glass .06,-.08 .06,-.36 .26,-.36 .42,-.08
oval dark -.52,.32 .2,.2
oval light -.52,.32 .09,.09
oval dark .52,.32 .2,.2
oval light .52,.32 .09,.09
mark .08,.1 .1

poly main -.98,.2 -.7,0 .2,-.1 .95,.05 .95,.3 -.98,.3
blob dark -.2,-.05 0,-.28 .25,-.05
box shade .75,-.3 .95,-.2
box shade .82,-.2 .88,.05
oval dark -.55,.3 .22,.22
oval gold -.55,.3 .1,.1
oval dark .55,.3 .22,.22
oval gold .55,.3 .1,.1
""",
    1257: """
blob wood -.42,-.1 -.48,-.6 0,-.98 .48,-.6 .42,-.1 0,-.3
oval light 0,-.5 .33,.33
oval dark -.13,-.52 .045,.06
oval dark .13,-.52 .045,.06
curve second .04 -.1,-.34 0,-.3 .1,-.34
line light .13 -.2,-.05 -.6,.25
line light .13 .2,-.05 .6,.25
poly main -.2,-.18 .2,-.18 .55,.62 -.55,.62
line second .06 -.48,.5 .48,.5
line light .13 -.18,.6 -.18,.88
line light .13 .18,.6 .18,.88
oval dark -.22,.92 .14,.07
oval dark .22,.92 .14,.07
""",
    1186: """
line main .17 .1,-.35 .1,.95
box metal -.15,-.7 .6,-.35
poly metal -.15,-.7 -.15,-.35 -.75,-.25 -.45,-.52
box dark .58,-.76 .72,-.3
line shade .18 .1,.4 .1,.92
""",
    2629: """
box main -.35,-.6 .75,-.12
poly dark -.35,-.52 -.6,-.45 -.6,-.25 -.35,-.2
line metal .05 -.6,-.35 -.98,-.35
poly main .25,-.15 .65,-.15 .72,.55 .3,.55
box dark .1,.55 .85,.85
poly second .12,-.1 .25,-.1 .25,.15 .15,.1
mark .25,-.36 .12
""",
    1203: """
line metal .07 -.2,0 .9,0
poly metal .85,-.06 .98,-.02 .98,.02 .85,.06
blob main -.98,0 -.9,-.18 -.35,-.16 -.2,-.08 -.2,.08 -.35,.16 -.9,.18
line dark .04 -.85,-.08 -.35,-.08
line dark .04 -.85,.08 -.35,.08

line metal .05 -.55,-.85 -.55,.1
blob main -.68,.1 -.42,.1 -.4,.8 -.7,.8
line metal .05 0,-.7 0,.1
blob main -.13,.1 .13,.1 .15,.8 -.15,.8
line metal .05 .55,-.55 .55,.1
blob main .42,.1 .68,.1 .7,.8 .4,.8
""",
    982: """
line main .16 -.6,.6 .7,-.7
poly metal -.54,.68 -.68,.54 -.9,.9
line metal .05 .3,-.42 .8,-.75
line shade .17 .0,0 .08,-.08

line main .14 -.85,-.2 .4,-.2
poly gold .4,-.27 .4,-.13 .75,-.2
line main .14 -.85,.25 .85,.25
line gold .05 -.7,.14 -.1,.14
line gold .15 .02,.25 .08,.25
""",
    947: """
poly main -.9,-.1 -.75,-.35 .7,-.25 .9,.05 .9,.2 -.9,.05
box metal -.9,.12 .6,.22
poly shade -.95,.4 .9,.4 .9,.55 -.95,.55
poly shade .55,.1 .9,.1 .9,.42 .65,.42
mark -.1,-.12 .11
""",
    4434: """
oval main 0,.15 .95,.6
oval shade 0,.05 .7,.36
oval light 0,.1 .62,.3
oval tint -.2,.08 .3,.14
mark 0,.58 .12
""",
    4989: """
ring gold .05 0,-.88 .1,.1
curve gold .05 -.6,.75 -.6,-.2 0,-.8 .6,-.2 .6,.75
line gold .03 0,-.8 0,.75
curve gold .03 -.3,.75 -.3,-.2 0,-.8 .3,-.2 .3,.75
line gold .03 -.6,-.1 .6,-.1
line gold .03 -.6,.3 .6,.3
box shade -.68,.72 .68,.92
blob main -.25,.1 .05,-.08 .2,.1 .1,.3 -.3,.28
oval main .16,.0 .1,.1
line wood .05 -.5,.33 .5,.33
""",
    3238: """
box dark -.95,-.7 .95,-.52
box glass -.92,-.52 .92,.6
box wood -.92,.45 .92,.62
box dark -.95,.62 .95,.72
blob main -.45,-.05 -.15,-.22 .1,-.05 -.15,.1
poly main .05,-.05 .25,-.2 .25,.1
oval dark -.3,-.08 .03,.03
blob second .3,.2 .5,.1 .65,.2 .5,.3
poly second .6,.2 .75,.1 .75,.3
curve shade .05 -.7,.45 -.78,.2 -.68,0 -.75,-.2
""",
    1868: """
poly main -.5,-.7 .5,-.7 .55,.9 -.55,.9
poly shade -.5,-.7 .5,-.7 .45,-.92 -.45,-.92
box light -.35,-.25 .35,.45
oval wood 0,.1 .16,.22
curve light .04 .04,-.1 -.04,.1 .04,.3
line dark .05 -.3,.65 .3,.65

box metal -.5,-.75 .5,-.6
box main -.5,-.6 .5,.85
oval metal 0,-.75 .5,.1
box wood -.5,-.1 .5,.55
oval light 0,.22 .22,.22
mark 0,.22 .13
""",
    4947: """
box second -.46,-.85 .46,-.58
blob gold -.5,-.55 .5,-.55 .62,-.2 .6,.7 .45,.88 -.45,.88 -.6,.7 -.62,-.2
box light -.42,-.1 .42,.5
poly gold 0,0 .15,.09 .15,.28 0,.37 -.15,.28 -.15,.09
line main .05 -.3,.43 .3,.43
""",
    80: """
blob main -.1,.0 .3,.05 .3,.3 .48,.6 .3,.92 0,.98 -.3,.92 -.48,.6 -.3,.3 -.3,.05
oval dark 0,.35 .15,.15
line wood .12 0,.2 0,-.78
poly dark -.12,-.98 .12,-.98 .08,-.75 -.08,-.75
line light .02 0,-.9 0,.7
box dark -.18,.66 .18,.73

poly main -.4,.1 -.15,.25 .15,.25 .45,.0 .3,.4 .48,.85 0,.95 -.48,.85 -.28,.45
line wood .1 0,.3 0,-.75
poly main -.05,-.72 .05,-.72 .2,-.98 -.1,-.98
box light -.12,.42 .12,.5
box light -.12,.6 .12,.68
line metal .02 0,-.9 0,.8
""",
    2518: """
line metal .04 -.8,-.55 -.6,.85
line metal .04 .8,-.6 .62,.85
oval gold -.78,-.55 .3,.07
oval gold .78,-.6 .3,.07
box main -.5,-.35 -.08,-.02
oval light -.29,-.35 .21,.07
box main .08,-.35 .5,-.02
oval light .29,-.35 .21,.07
oval main 0,.4 .45,.45
oval light 0,.4 .37,.37
box main -.95,.1 -.5,.42
oval light -.72,.1 .22,.07
mark 0,.4 .15
""",
    543543: """
poly shade -.55,-.85 -.45,-.92 .62,-.82 .55,-.75
poly light .5,-.78 .62,-.84 .62,.8 .5,.88
poly main -.55,-.85 .5,-.78 .5,.9 -.55,.82
line light .07 -.35,-.5 .3,-.46
line light .05 -.25,-.32 .2,-.29
oval second 0,.2 .24,.24

poly light -.02,-.45 -.9,-.6 -.9,.5 -.02,.65
poly light .02,-.45 .9,-.6 .9,.5 .02,.65
poly main -.98,.5 0,.68 .98,.5 .98,.6 0,.78 -.98,.6
line metal .03 -.75,-.35 -.15,-.25
line metal .03 -.75,-.12 -.15,-.02
line metal .03 -.75,.12 -.15,.22
line metal .03 .75,-.35 .15,-.25
line metal .03 .75,-.12 .15,-.02
line metal .03 .75,.12 .15,.22
""",
    2110: """
blob main -.75,.35 -.8,-.3 -.4,-.8 .3,-.8 .75,-.35 .72,.3 .6,.7 -.1,.75 -.5,.7
blob dark .0,-.3 .55,-.42 .76,-.2 .74,.15 .2,.18 -.02,.0
line glass .05 .3,-.22 .6,-.25
line second .08 -.7,-.1 -.2,-.5
mark -.35,.3 .13
""",
    6093: """
oval dark 0,0 .92,.92
ring shade .06 0,0 .8,.8
oval metal 0,0 .56,.56
oval dark 0,0 .46,.46
line metal .1 0,-.5 0,.5
line metal .1 -.48,-.16 .48,.16
line metal .1 -.48,.16 .48,-.16
oval main 0,0 .13,.13

oval dark -.15,0 .6,.92
box dark -.15,-.92 .25,.92
oval dark .25,0 .6,.92
oval shade .28,0 .42,.68
oval back .28,0 .34,.56
line metal .04 -.6,-.4 -.25,-.5
line metal .04 -.68,0 -.3,0
line metal .04 -.6,.4 -.25,.5
""",
}
"""Drawings by Google category id, parted by an empty line; a product has one of them."""
