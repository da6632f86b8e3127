"""Horizontal bars with their ranges, as SVG written by hand."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

__all__ = ["Bar", "Panel", "draw"]

WIDTH, LEFT, RIGHT = 860, 150, 110
ROW, BAR, TITLE, GAP, TOP, BOTTOM = 24, 15, 26, 18, 44, 34
FONT = "font-family='system-ui, sans-serif' font-size='13'"
#: Ours stand out; the first part of a bar is darker than the second.
OURS, OTHERS = ("#1f5f99", "#7fb2dc"), ("#5b6270", "#b3b9c4")
INK, FAINT, PAPER = "#1b1f24", "#6a737d", "#ffffff"


@dataclass(frozen=True)
class Bar:
    """A label, the parts that follow each other, and the range of the whole."""

    label: str
    parts: tuple[float, ...]
    low: float
    high: float
    ours: bool = False


@dataclass(frozen=True)
class Panel:
    """Bars on a scale of their own."""

    title: str
    bars: tuple[Bar, ...]
    #: Of the figures at the ends of the bars, such as "{:.1f}".
    form: str = "{:.1f}"


def draw(heading: str, panels: list[Panel], legend: tuple[str, ...] = (), note: str = "") -> str:
    """All panels below each other."""
    lines: list[str] = []
    y = TOP
    for panel in panels:
        y = _panel(lines, panel, y) + GAP
    y = _legend(lines, legend, note, y)
    head = (
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{WIDTH}' height='{y}' "
        f"viewBox='0 0 {WIDTH} {y}' role='img' {FONT}>"
    )
    title = [
        f"<title>{escape(heading)}</title>",
        f"<rect width='{WIDTH}' height='{y}' fill='{PAPER}'/>",
        f"<text x='12' y='26' font-size='16' font-weight='600' fill='{INK}'>{escape(heading)}</text>",
    ]
    return "\n".join([head, *title, *lines, "</svg>\n"])


def _panel(lines: list[str], panel: Panel, y: float) -> float:
    lines.append(
        f"<text x='12' y='{y + 16}' font-weight='600' fill='{INK}'>{escape(panel.title)}</text>"
    )
    y += TITLE
    widest = max((max(sum(bar.parts), bar.high) for bar in panel.bars), default=0.0) or 1.0
    scale = (WIDTH - LEFT - RIGHT) / widest
    for bar in panel.bars:
        _bar(lines, bar, y, scale, panel.form)
        y += ROW
    return y


def _bar(lines: list[str], bar: Bar, y: float, scale: float, form: str) -> None:
    middle = y + BAR / 2
    weight = " font-weight='600'" if bar.ours else ""
    lines.append(
        f"<text x='{LEFT - 8}' y='{middle + 4.5:.1f}' text-anchor='end' fill='{INK}'{weight}>"
        f"{escape(bar.label)}</text>"
    )
    x: float = LEFT
    for part, colour in zip(bar.parts, OURS if bar.ours else OTHERS, strict=False):
        wide = part * scale
        lines.append(
            f"<rect x='{x:.1f}' y='{y}' width='{wide:.1f}' height='{BAR}' fill='{colour}'/>"
        )
        x += wide
    low, high = LEFT + bar.low * scale, LEFT + bar.high * scale
    lines.append(
        f"<path d='M{low:.1f} {middle}H{high:.1f}M{low:.1f} {y + 3}v{BAR - 6}M{high:.1f} {y + 3}"
        f"v{BAR - 6}' stroke='{INK}' stroke-width='1.2' fill='none'/>"
    )
    lines.append(
        f"<text x='{max(x, high) + 8:.1f}' y='{middle + 4.5:.1f}' fill='{INK}'>"
        f"{escape(form.format(sum(bar.parts)))}</text>"
    )


def _legend(lines: list[str], legend: tuple[str, ...], note: str, y: float) -> int:
    x = 12.0
    for index, word in enumerate(legend):
        for colours in (OURS, OTHERS):
            lines.append(f"<rect x='{x}' y='{y}' width='12' height='12' fill='{colours[index]}'/>")
            x += 14
        lines.append(f"<text x='{x + 4}' y='{y + 11}' fill='{INK}'>{escape(word)}</text>")
        x += 24 + 7.2 * len(word)
    if legend:
        y += 22
    lines.append(f"<text x='12' y='{y + 11}' font-size='12' fill='{FAINT}'>{escape(note)}</text>")
    return int(y + BOTTOM)
