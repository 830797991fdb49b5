"""What is shown of a category head: three figures per condition and method, and how close it comes."""

import io

from rich.console import Console

from prodemb.cli.report.categories import category_lines, category_tables
from prodemb.heads.aggregate import AggregateConfig
from prodemb.heads.evaluation import ByTau, CategoryEvaluation, Condition
from prodemb.heads.head import HeadCard
from prodemb.heads.labels import CategoryLabel
from prodemb.heads.metrics import Metrics
from prodemb.heads.network import HeadConfig
from prodemb.taxonomy.metrics import TreeMetrics

FIGURES = {"TF-IDF + linear SVM": 0.512, "prodemb head": 0.634}


def make_card() -> HeadCard:
    conditions = (
        Condition(name="all features", num_products=40, top1=FIGURES, macro_f1=FIGURES, tree_f1=FIGURES),
        Condition(group="examples", name="under 20", num_products=7, top1=FIGURES, macro_f1=FIGURES, tree_f1=FIGURES),
    )
    tree = TreeMetrics(top1_by_level=(0.9, 0.7), precision=0.8, recall=0.75, f1=0.774, lca_distance=0.4)
    return HeadCard(
        target="category",
        fingerprint="f",
        model="m",
        features=("title",),
        dims=(4,),
        aggregate=AggregateConfig(),
        head=HeadConfig(),
        num_train=1,
        num_validation=1,
        coverage=None,
        classes=(CategoryLabel(id=1, path="A"),),
        evaluation=CategoryEvaluation(
            conditions=conditions,
            nodes=Metrics(top1=0.7, top5=0.9, macro_f1=0.5, ece=0.1, num_products=40, tree=tree),
            by_tau=(ByTau(tau=0.0, top1=0.7, macro_f1=0.5), ByTau(tau=0.5, top1=0.69, macro_f1=0.55)),
        ),
    )


def test_conditions_stand_in_a_table() -> None:
    console = Console(width=120, record=True, file=io.StringIO())
    (table,) = category_tables(make_card())
    console.print(table)
    shown = console.export_text()
    assert "figures in percent on all 40 test products" in shown
    assert "examples: under 20" in shown
    assert shown.count("63.4") == shown.count("51.2") == 6
    assert category_tables(make_card().model_copy(update={"evaluation": CategoryEvaluation()})) == []


def test_lines_on_the_taxonomy_and_logit_adjustment() -> None:
    lines = category_lines(make_card())
    assert lines[0].startswith("in the taxonomy: top-1 by level 0.900, 0.700; hierarchical precision 0.800")
    assert lines[1].endswith("[score] tau 0: 0.700 / 0.500, 0.5: 0.690 / 0.550")
    empty = make_card().model_copy(update={"evaluation": CategoryEvaluation()})
    assert category_lines(empty) == []
