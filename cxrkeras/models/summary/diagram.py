"""A drawing of what a model is made of, as SVG: one column per trunk, image above, answer below."""

from html import escape

import keras

from cxrkeras.models.graph import calls, source

_WIDTH, _HEIGHT, _GAP = 260, 46, 26


def diagram(model: keras.Model) -> str:
    """An SVG text of the layers of `model` (not those inside its trunks), with their shapes.

    Args:
        model: from `build_network`, or one loaded from a file of such.
    """
    rows: list[list[keras.Layer]] = []
    shown = {id(layer) for layer in model.layers}
    for layer in model.layers:
        depth = _depth(layer, rows, shown)
        if depth == len(rows):
            rows.append([])
        rows[depth].append(layer)
    columns = max(len(row) for row in rows)
    width = columns * (_WIDTH + _GAP) + _GAP
    height = len(rows) * (_HEIGHT + _GAP) + _GAP
    place = {
        id(layer): (
            width / 2 + (column - (len(row) - 1) / 2) * (_WIDTH + _GAP),
            _GAP + number * (_HEIGHT + _GAP),
        )
        for number, row in enumerate(rows)
        for column, layer in enumerate(row)
    }
    parts = [_box(layer, *place[id(layer)]) for row in rows for layer in row]
    parts += [
        _line(place[id(before)], place[id(layer)])
        for row in rows
        for layer in row
        for before in _before(layer, shown)
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        f'width="{width}" font-family="system-ui, sans-serif" text-anchor="middle">'
        f"<title>{escape(model.name)}</title>"
        '<rect width="100%" height="100%" fill="#fff"/>'
        f"{''.join(parts)}</svg>\n"
    )


def _before(layer: keras.Operation, shown: set[int]) -> list[keras.Layer]:
    """The shown layers that a layer gets its input from, each once, past what is no layer."""
    found, seen, ways = [], {id(layer)}, [layer]
    while ways:
        one = ways.pop(0)
        if one is not layer and id(one) in shown:
            found.append(one)
            continue
        if isinstance(one, keras.layers.InputLayer):
            continue
        parents = [source(tensor)[0] for call in calls(one) for tensor in call.inputs]
        new = [each for each in dict.fromkeys(parents) if id(each) not in seen]
        seen |= set(map(id, new))
        ways = new + ways
    return found


def _depth(layer: keras.Layer, rows: list[list[keras.Layer]], shown: set[int]) -> int:
    known = {id(one): number for number, row in enumerate(rows) for one in row}
    # A layer called again takes what comes of later ones, which have no place yet.
    return max((known.get(id(one), -1) + 1 for one in _before(layer, shown)), default=0)


def _box(layer: keras.Layer, x: float, y: float) -> str:
    trunk = isinstance(layer, keras.Model)
    fill, shape = ("#dbe7f5", "#1f4e79") if trunk else ("#f3f3f1", "#555")
    output = layer.output[0] if isinstance(layer.output, list | tuple) else layer.output
    if isinstance(output, dict):  # a trunk's maps
        output = min(output.values(), key=lambda map_: map_.shape[1])
    size = " × ".join("N" if side is None else str(side) for side in output.shape)
    params = layer.count_params()
    below = f"{size}" + (f" · {params:,} parameters" if params else "")
    return (
        f'<rect x="{x - _WIDTH / 2}" y="{y}" width="{_WIDTH}" height="{_HEIGHT}" rx="6" '
        f'fill="{fill}" stroke="{shape}"/>'
        f'<text x="{x}" y="{y + 19}" font-size="14" font-weight="600">{escape(layer.name)}</text>'
        f'<text x="{x}" y="{y + 36}" font-size="11" fill="#444">{escape(below)}</text>'
    )


def _line(start: tuple[float, float], end: tuple[float, float]) -> str:
    (x1, y1), (x2, y2) = start, end
    return f'<line x1="{x1}" y1="{y1 + _HEIGHT}" x2="{x2}" y2="{y2}" stroke="#777"/>'
