"""What was learned: risk and coverage, and what is shown of it as a chart."""

import re

from prodemb.confidence.promise import THRESHOLDS, coverage_and_precision, promise
from prodemb.confidence.reliability import Reliability, ReliabilityBin
from prodemb.heads.evaluation import Promised
from prodemb.report.charts import reliability_chart, risk_chart
from prodemb.report.learned import MIN_ANSWERS, risk_points
from tests.small_heads import answers_at

ANSWERS = answers_at(0.5)


def test_the_curve_passes_through_what_is_promised() -> None:
    found = promise(ANSWERS, precision=0.9, certainty=0.9)
    coverage, precision = coverage_and_precision(ANSWERS)
    at = [*THRESHOLDS.tolist()].index(found.threshold)
    assert (coverage[at], precision[at]) == (found.coverage, found.observed_precision)


def test_the_curve_rises_in_coverage_and_begins_with_enough_answers() -> None:
    points = risk_points(ANSWERS)
    shares = [point.coverage for point in points]
    assert shares == sorted(shares)
    assert shares[0] * len(ANSWERS) >= MIN_ANSWERS
    assert points[0].precision == 1.0
    assert points[-1].coverage > 0.99
    assert points[-1].precision < 0.8


def test_charts_take_the_page_s_colours_and_share_no_ids() -> None:
    reliability = Reliability(bins=(ReliabilityBin(confidence=0.5, accuracy=0.4, count=9),))
    promised = [Promised(promise=promise(ANSWERS, precision=each, certainty=0.9)) for each in (0.9, 0.95, 0.9999)]
    charts = [
        reliability_chart(reliability, name="one"),
        reliability_chart(reliability, name="two"),
        risk_chart(risk_points(ANSWERS), promised=promised, name="three"),
    ]
    ids = [each for chart in charts for each in re.findall(r'\bid="([^"]+)"', chart)]
    assert len({*ids}) == len(ids)
    for chart in charts:
        assert chart.startswith("<svg viewBox=")
        assert 'role="img" aria-label="' in chart
        assert "var(--accent)" in chart
        assert not re.search(r"#[0-9a-f]{6}|<style|<metadata|https?:|font-family", chart)
        used = re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', chart)
        assert {one or other for one, other in used} <= {*ids}
    assert "90%, 95%" in charts[2] or ("90%" in charts[2] and "95%" in charts[2])
