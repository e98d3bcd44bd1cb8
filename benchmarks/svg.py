"""Two plain plots as SVG: lines and bars. No library: they are drawn once per run and read by people."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640, 320, 60, 150, 40, 45
COLOURS = ("#c0392b", "#7f8c8d", "#2166ac", "#4d9221")
Line = Sequence[tuple[float, float]]


def lines(path: Path, title: str, x: str, y: str, series: Mapping[str, Line]) -> None:
    """Several curves over one axis."""
    xs = [point[0] for line in series.values() for point in line]
    ys = [point[1] for line in series.values() for point in line]
    place = _scale(min(xs), max(xs), 0.0, max(ys))
    parts = [_frame(title, x, y, min(xs), max(xs), max(ys))]
    for nth, (name, line) in enumerate(series.items()):
        points = " ".join(f"{left:.1f},{top:.1f}" for left, top in (place(*point) for point in line))
        colour = COLOURS[nth % len(COLOURS)]
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts.append(_key(nth, name, colour))
    _write(path, parts)


def bars(path: Path, title: str, y: str, groups: Mapping[str, Mapping[str, float]]) -> None:
    """Groups of bars: group, then name, then height."""
    names = list(next(iter(groups.values())))
    top = max(value for bar in groups.values() for value in bar.values())
    place = _scale(0.0, 1.0, 0.0, top)
    parts = [_frame(title, "", y, 0.0, 0.0, top)]
    wide = (WIDTH - LEFT - RIGHT) / len(groups)
    for group, (said, heights) in enumerate(groups.items()):
        one = wide * 0.8 / len(names)
        for nth, name in enumerate(names):
            left = LEFT + group * wide + wide * 0.1 + nth * one
            high = place(0.0, heights[name])[1]
            size = f'width="{one * 0.9:.1f}" height="{HEIGHT - BOTTOM - high:.1f}"'
            parts.append(f'<rect x="{left:.1f}" y="{high:.1f}" {size} fill="{COLOURS[nth % len(COLOURS)]}"/>')
            parts.append(_text(left + one * 0.45, high - 4, f"{heights[name]:g}", "middle", 10))
        parts.append(_text(LEFT + (group + 0.5) * wide, HEIGHT - BOTTOM + 18, said, "middle"))
    parts += [_key(nth, name, COLOURS[nth % len(COLOURS)]) for nth, name in enumerate(names)]
    _write(path, parts)


def _scale(x0: float, x1: float, y0: float, y1: float):
    def place(x: float, y: float) -> tuple[float, float]:
        left = LEFT + (x - x0) / ((x1 - x0) or 1) * (WIDTH - LEFT - RIGHT)
        return left, HEIGHT - BOTTOM - (y - y0) / ((y1 - y0) or 1) * (HEIGHT - TOP - BOTTOM)

    return place


def _frame(title: str, x: str, y: str, x0: float, x1: float, top: float) -> str:
    place = _scale(x0, x1, 0.0, top)
    parts = [_text(LEFT, 22, title, "start", 14), _text(LEFT, TOP - 6, y, "start", 10)]
    for step in range(5):
        value = top * step / 4
        high = place(x0, value)[1]
        parts.append(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{high:.1f}" y2="{high:.1f}" stroke="#ddd"/>'
        )
        parts.append(_text(LEFT - 6, high + 4, f"{value:.3g}", "end", 10))
        if x1 > x0:
            at = x0 + (x1 - x0) * step / 4
            parts.append(_text(place(at, 0)[0], HEIGHT - BOTTOM + 16, f"{at:.3g}", "middle", 10))
    if x:
        parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, x, "middle", 11))
    return "".join(parts)


def _key(nth: int, name: str, colour: str) -> str:
    top = TOP + 10 + nth * 20
    box = f'<rect x="{WIDTH - RIGHT + 12}" y="{top - 9}" width="10" height="10" fill="{colour}"/>'
    return box + _text(WIDTH - RIGHT + 28, top, name, "start", 11)


def _text(x: float, y: float, said: str, anchor: str, size: int = 11) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}">{escape(said)}</text>'


def _write(path: Path, parts: Sequence[str]) -> None:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif">'
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f'{head}<rect width="100%" height="100%" fill="white"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )
