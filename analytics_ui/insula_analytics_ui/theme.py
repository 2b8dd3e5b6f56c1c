"""The look: colours shared by Streamlit's theme, the charts and the states."""

from __future__ import annotations

FONT = (
    "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', 'Noto Sans', 'DejaVu Sans', sans-serif"
)
CODE_FONT = "ui-monospace, 'SF Mono', Menlo, Consolas, 'DejaVu Sans Mono', monospace"

# Okabe and Ito, "Color Universal Design" (2008), without black, which one of the two themes would swallow.
VERMILLION = "#D55E00"
BLUE = "#0072B2"
ORANGE = "#E69F00"
BLUISH_GREEN = "#009E73"
REDDISH_PURPLE = "#CC79A7"
SKY_BLUE = "#56B4E9"
YELLOW = "#F0E442"
GREY = "#8a949e"
PALETTE = (VERMILLION, BLUE, ORANGE, BLUISH_GREEN, REDDISH_PURPLE, SKY_BLUE, YELLOW)

_LIGHT = {
    "primaryColor": "#0b6bb8",
    "backgroundColor": "#ffffff",
    "secondaryBackgroundColor": "#f4f6f8",
    "textColor": "#1b1f24",
    "linkColor": "#0b6bb8",
    "borderColor": "#d5dae0",
    "dataframeBorderColor": "#e3e7eb",
    "dataframeHeaderBackgroundColor": "#f4f6f8",
}
_DARK = {
    "primaryColor": "#62b0ee",
    "backgroundColor": "#14171b",
    "secondaryBackgroundColor": "#1c2026",
    "textColor": "#e6e9ed",
    "linkColor": "#62b0ee",
    "borderColor": "#2d333b",
    "dataframeBorderColor": "#262b32",
    "dataframeHeaderBackgroundColor": "#1c2026",
}


QUIET_INK = {"light": "#59636e", "dark": "#9aa4b0"}
"""The colour of quiet text in a chart, where no style sheet reaches."""

STATE_INK = {
    "light": {BLUISH_GREEN: "#00734f", ORANGE: "#8a5a00", VERMILLION: "#b04a00", GREY: "#59636e"},
    "dark": {BLUISH_GREEN: "#3cc59b", ORANGE: "#e6a117", VERMILLION: "#f08a4b", GREY: "#9aa4b0"},
}
"""A state's colour as text: the same hue, with the contrast that letters need (WCAG AA)."""


def theme_options() -> dict[str, object]:
    """Streamlit's options for both themes; a browser gets the one its system prefers."""
    options: dict[str, object] = {
        "theme.font": FONT,
        "theme.headingFont": FONT,
        "theme.codeFont": CODE_FONT,
        "theme.baseFontSize": 15,
        "theme.headingFontSizes": ["1.45rem", "1.2rem", "1rem", "1rem", "1rem", "1rem"],
        "theme.headingFontWeights": [600, 600, 600, 600, 600, 600],
        "theme.baseRadius": "0.375rem",
        "theme.showWidgetBorder": True,
        "theme.showSidebarBorder": True,
        "theme.chartCategoricalColors": list(PALETTE),
    }
    for name, colours in (("light", _LIGHT), ("dark", _DARK)):
        options.update({f"theme.{name}.{option}": value for option, value in colours.items()})
    return options


REPORT_CONFIG: dict[str, object] = {
    "font": "Noto Sans, DejaVu Sans, sans-serif",
    "background": "#ffffff",
    "view": {"stroke": None},
    "axis": {
        "labelColor": "#59636e",
        "titleColor": "#59636e",
        "titleFontWeight": "normal",
        "gridColor": "#e3e7eb",
        "labelFontSize": 11,
        "titleFontSize": 11,
    },
    "range": {"category": list(PALETTE)},
}
"""How charts look on paper: Streamlit's theme reaches only those on its pages."""
