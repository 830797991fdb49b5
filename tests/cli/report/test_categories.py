"""What is shown of a category head: three figures per condition and method, and how close it comes."""

import io

from rich.console import Console

from prodemb.cli.report.categories import category_lines, category_tables
from prodemb.heads.aggregate import AggregateConfig
from prodemb.heads.evaluation import BaselineResult, CategoryEvaluation, Condition
from prodemb.heads.head import HeadCard
from prodemb.heads.labels import CategoryLabel
from prodemb.heads.metrics import Metrics
from prodemb.heads.network import HeadConfig
from prodemb.taxonomy.metrics import TreeMetrics

FIGURES = {"TF-IDF + linear SVM": 0.512, "head alone": 0.601, "prodemb": 0.634}


def make_card(evaluation: CategoryEvaluation) -> HeadCard:
    return HeadCard(
        target="category",
        fingerprint="f",
        model="m",
        features=("title",),
        dims=(4,),
        aggregate=AggregateConfig(),
        head=HeadConfig(),
        num_train=1,
        classes=(CategoryLabel(id=1, path="A"),),
        evaluation=evaluation,
    )


def test_conditions_stand_in_a_table() -> None:
    conditions = (
        Condition(name="all features", num_products=40, top1=FIGURES, macro_f1=FIGURES, tree_f1=FIGURES),
        Condition(group="examples", name="6 to 19", num_products=7, top1=FIGURES, macro_f1=FIGURES, tree_f1=FIGURES),
    )
    console = Console(width=120, record=True, file=io.StringIO())
    (table,) = category_tables(make_card(CategoryEvaluation(conditions=conditions)))
    console.print(table)
    shown = console.export_text()
    assert "figures in percent on all 40 test products" in shown
    assert "examples: 6 to 19" in shown
    assert shown.count("63.4") == shown.count("60.1") == shown.count("51.2") == 6
    assert category_tables(make_card(CategoryEvaluation())) == []


def test_how_close_it_comes_in_the_taxonomy_is_told() -> None:
    tree = TreeMetrics(top1_by_level=(0.9, 0.7), precision=0.8, recall=0.75, f1=0.774, lca_distance=0.4)
    metrics = Metrics(top1=0.7, top5=0.9, macro_f1=0.5, ece=0.1, num_products=40, tree=tree)
    methods = (BaselineResult(name="prodemb", metrics=metrics, seconds=1),)
    (line,) = category_lines(make_card(CategoryEvaluation(methods=methods)))
    assert line.startswith("in the taxonomy: top-1 by level 0.900, 0.700; hierarchical precision 0.800")
    assert category_lines(make_card(CategoryEvaluation())) == []


def test_voices_that_learned_from_a_sample_are_named() -> None:
    learned_by = {"words": 5_184, "neighbours": 45_000}
    (line,) = category_lines(make_card(CategoryEvaluation(num_learned=45_000, learned_by=learned_by)))
    assert line == (
        "words: learned from 5,184 of 45,000 products, about as many of each category; [voices] max_cost and "
        "max_products bound that"
    )
