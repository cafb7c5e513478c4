"""Draws what panels show, as one SVG for each dashboard: lines with their legend, or the number of a stat."""

from xml.sax.saxutils import escape

UNIT, HEIGHT, MARGIN = 58, 26, 8
COLOURS = ("#3274d9", "#e0823d", "#56a64b", "#c4162a", "#8f3bb8", "#b5a642", "#1f8a8a", "#d86ba0")


def shown(number):
    return f"{number:.3g}"


def lines(panel, series, begin, end, box):
    """The curves of a panel within its box."""
    x, y, width, height = box
    values = [value for _, points in series for _, value in points]
    low, high = min(0, *values), max(*values, 1e-9)
    plot_height = height - 44
    for number, (legend, points) in enumerate(series[:24]):
        colour = COLOURS[number % len(COLOURS)]
        at = " ".join(f"{x + (time - begin) / (end - begin) * width:.1f},"
                      f"{y + 20 + plot_height * (1 - (value - low) / (high - low)):.1f}" for time, value in points)
        yield f'<polyline points="{at}" fill="none" stroke="{colour}"/>'
        if number < 4:
            yield (f'<text x="{x + number % 2 * width / 2}" y="{y + height - 12 + number // 2 * 11}" '
                   f'fill="{colour}">{escape(legend[:28])}</text>')
    yield f'<text x="{x + width}" y="{y + 30}" text-anchor="end">{shown(high)} {panel["fieldConfig"]["defaults"]["unit"]}</text>'


def draw(board, data, begin, end):
    """The picture of a dashboard; `data` has [(legend, [(time, value)])] by panel id."""
    bottom = max(p["gridPos"]["y"] + p["gridPos"]["h"] for p in board["panels"]) * HEIGHT
    yield (f'<svg xmlns="http://www.w3.org/2000/svg" width="{24 * UNIT}" height="{bottom}" font-family="sans-serif" '
           f'font-size="10"><rect width="100%" height="100%" fill="#f4f5f5"/>')
    for panel in board["panels"]:
        grid = panel["gridPos"]
        x, y, width, height = grid["x"] * UNIT, grid["y"] * HEIGHT, grid["w"] * UNIT, grid["h"] * HEIGHT
        if panel["type"] == "row":
            yield f'<text x="4" y="{y + 17}" font-size="13" font-weight="bold">{escape(panel["title"])}</text>'
            continue
        yield f'<rect x="{x + 2}" y="{y + 2}" width="{width - 4}" height="{height - 4}" fill="#fff" stroke="#ddd"/>'
        yield f'<text x="{x + MARGIN}" y="{y + 15}" font-weight="bold">{escape(panel["title"])}</text>'
        series = [(legend, points) for legend, points in data.get(panel["id"], []) if points]
        box = (x + MARGIN, y + 4, width - 2 * MARGIN, height - 8)
        if not series:
            yield f'<text x="{x + MARGIN}" y="{y + 40}" fill="#c4162a">no data</text>'
        elif panel["type"] == "stat":
            yield f'<text x="{x + MARGIN}" y="{y + 70}" font-size="32">{shown(series[0][1][-1][1])}</text>'
        else:
            yield from lines(panel, series, begin, end, box)
    yield "</svg>"
