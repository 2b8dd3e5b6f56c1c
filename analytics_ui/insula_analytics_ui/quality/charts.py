"""How completeness is drawn: a row a point, a cell a day; what is missing stands out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import altair as alt
import pandas as pd  # type: ignore[import-untyped] # ships no type information

from insula_analytics_ui.axes import INKS, fitted, span, time_axis
from insula_analytics_ui.quality.data import DAY
from insula_analytics_ui.words import _

ROW_STEP = 20
NUMBERS_TO = 14
"""Days up to which the cells have room for their numbers."""

RAMPS = {
    "light": ("#B44400", "#E69F00", "#f3e3bd", "#dfe7ee"),
    "dark": ("#F07A2E", "#B97F00", "#5a4a26", "#27313b"),
}
"""From nothing to everything: whole days are as quiet as the page, and missing ones are not."""

STRONG_BELOW = 30.0
"""% below which a cell has a strong colour."""

STEPS = (0.0, 50.0, 90.0, 100.0)


def calendar_chart(
    rows: pd.DataFrame,
    names: Sequence[str],
    marks: Mapping[float, str],
    *,
    begin: float,
    end: float,
    theme: str,
) -> alt.LayerChart:
    """The share of the expected readings that came: `names` down, in their order, and days across."""
    x = time_axis(marks)
    y = alt.Y(
        "name:N",
        sort=list(names),
        title=None,
        axis=alt.Axis(domain=False, ticks=False, labelPadding=8, labelLimit=260, labelFlush=False),
    )
    colour = alt.Color(
        "share:Q",
        scale=alt.Scale(domain=list(STEPS), range=list(RAMPS[theme]), clamp=True, interpolate="rgb"),
        legend=alt.Legend(
            orient="top",
            title=_("% of the expected readings"),
            titleLimit=0,
            gradientLength=200,
            gradientThickness=8,
            values=[0, 50, 100],
        ),
    )
    tooltip = [
        alt.Tooltip("at:N", title=_("Day")),
        alt.Tooltip("name:N", title=_("Point")),
        alt.Tooltip("shown:N", title=_("Complete")),
    ]
    base = alt.Chart(rows)
    few = (end - begin) / DAY <= NUMBERS_TO
    cells = base.mark_rect(stroke=INKS[theme].paper, strokeWidth=1 if few else 0).encode(
        x=x, x2="until", y=y, color=colour, tooltip=tooltip
    )
    layers = [span(begin, end, x), cells]
    if few:
        # The colour alone would not tell 94 from 99 %.
        numbers = base.transform_calculate(middle="(datum.time + datum.until) / 2").mark_text(
            fontSize=10, opacity=alt.ExprRef(expr="width >= 500 ? 1 : 0")
        )
        # On the darkest cells (in the dark, on the lightest) text is the other way round.
        ink = alt.condition(
            f"datum.share < {STRONG_BELOW}", alt.value(INKS[theme].paper), alt.value(INKS[theme].text)
        )
        layers.append(
            numbers.encode(x=time_axis(marks, "middle"), y=y, text="whole:N", color=ink, tooltip=tooltip)
        )
    return fitted(layers, ROW_STEP * max(len(names), 1))
