"""A picture as one HTML page that needs nothing else: no network, no library."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from html import escape
from math import hypot
from pathlib import Path
from string import Template

from toolflow.errors import GraphError
from toolflow.files import write_whole
from toolflow.graph.plot import Join, Picture, label, lay_out
from toolflow.text import one_line, printable

_RADIUS = 9
_FOCUS_RADIUS = 13
_MARGIN_ACROSS, _MARGIN_DOWN = 120, 45
_FIELDS_TOLD = 12
_BEND = 0.12
_COLOURS = 9
"""Categories with a colour of their own; the rarer ones share one more."""


def render(picture: Picture) -> str:
    """The HTML page of a picture; text of the catalogue in it is data, never markup."""
    spots = lay_out(picture)
    colours = _colours(picture)
    across = [x for x, _ in spots.values()]
    down = [y for _, y in spots.values()]
    box = (
        min(across) - _MARGIN_ACROSS,
        min(down) - _MARGIN_DOWN,
        max(across) - min(across) + 2 * _MARGIN_ACROSS,
        max(down) - min(down) + 2 * _MARGIN_DOWN,
    )
    return _PAGE.substitute(
        title=_text(picture.title),
        facts=_text(_facts(picture)),
        box=" ".join(f"{value:.0f}" for value in box),
        links="\n".join(_line(join, picture, spots) for join in picture.joins),
        nodes="\n".join(_nodes(picture, spots, colours)),
        legend="\n".join(_legend(picture, colours)),
    )


def write_page(picture: Picture, path: Path) -> None:
    """Write the HTML page of a picture; an existing file is replaced.

    Raises:
        GraphError: The file cannot be written.
    """
    try:
        write_whole(path, [render(picture).encode(errors="replace")])
    except OSError as error:
        raise GraphError(
            f"{path}: the picture cannot be written: {error.strerror or error}",
            hint="Check that the folder exists and is writable.",
        ) from error


def _text(text: str) -> str:
    return escape(printable(text))


def _facts(picture: Picture) -> str:
    text = f"{len(picture.tools)} tools, {len(picture.joins)} lines"
    return f"{text}; {picture.left_out} weaker ones are left out" if picture.left_out else text


def _category(category: str | None) -> str:
    return category or "no category"


def _colours(picture: Picture) -> Mapping[str, int]:
    counted = Counter(_category(tool.category) for tool in picture.tools).most_common()
    return {category: min(number, _COLOURS) for number, (category, _) in enumerate(counted)}


def _radius(name: str, picture: Picture) -> int:
    return _FOCUS_RADIUS if name in picture.focus else _RADIUS


def _line(join: Join, picture: Picture, spots: Mapping[str, tuple[float, float]]) -> str:
    (x1, y1), (x2, y2) = spots[join.from_tool], spots[join.to_tool]
    length = max(hypot(x2 - x1, y2 - y1), 1.0)
    across, down = (x2 - x1) / length, (y2 - y1) / length
    flow = join.kind == "return-parameter"
    first, last = _radius(join.from_tool, picture), _radius(join.to_tool, picture) + (5 if flow else 0)
    x1, y1, x2, y2 = x1 + across * first, y1 + down * first, x2 - across * last, y2 - down * last
    # Lines both ways bend away from each other.
    bend = _BEND * length if flow else 0.0
    middle = f"{(x1 + x2) / 2 + down * bend:.1f} {(y1 + y2) / 2 - across * bend:.1f}"
    path = f"M{x1:.1f} {y1:.1f} Q{middle} {x2:.1f} {y2:.1f}"
    weight = join.links[0].weight
    drawn = f"stroke-width:{0.8 + 1.6 * weight:.2f};opacity:{0.3 + 0.6 * weight:.2f}"
    kind = "flow" if flow else "shared"
    return (
        f'<g class="link {kind}" data-a="{_number(join.from_tool, picture)}" '
        f'data-b="{_number(join.to_tool, picture)}"><title>{_told(join)}</title>'
        f'<path class="hit" d="{path}"/>'
        f'<path d="{path}" style="{drawn}"/></g>'
    )


def _number(name: str, picture: Picture) -> int:
    return next(number for number, tool in enumerate(picture.tools) if tool.name == name)


def _told(join: Join) -> str:
    arrow = "→" if join.kind == "return-parameter" else "–"
    lines = [f"{one_line(join.from_tool, 80)} {arrow} {one_line(join.to_tool, 80)}"]
    lines += [
        f"{one_line(link.from_field, 80)} {arrow} {one_line(link.to_field, 80)}  ({link.weight:.2f})"
        for link in join.links[:_FIELDS_TOLD]
    ]
    if len(join.links) > _FIELDS_TOLD:
        lines.append(f"… and {len(join.links) - _FIELDS_TOLD} more")
    return _text("\n".join(lines))


def _nodes(
    picture: Picture, spots: Mapping[str, tuple[float, float]], colours: Mapping[str, int]
) -> Iterator[str]:
    for number, tool in enumerate(picture.tools):
        x, y = spots[tool.name]
        category = _category(tool.category)
        focus = " focus" if tool.name in picture.focus else ""
        told = "\n".join(
            filter(None, [one_line(tool.name, 120), one_line(category, 80), one_line(tool.description, 400)])
        )
        yield (
            f'<g class="node c{colours[category]}{focus}" data-n="{number}" '
            f'transform="translate({x:.1f} {y:.1f})">'
            f'<title>{_text(told)}</title><circle r="{_radius(tool.name, picture)}"/>'
            f'<text y="{_radius(tool.name, picture) + 14}">{_text(label(tool))}</text></g>'
        )


def _legend(picture: Picture, colours: Mapping[str, int]) -> Iterator[str]:
    for category, number in colours.items():
        if number < _COLOURS:
            yield f'<li><i class="dot c{number}"></i>{_text(one_line(category, 40))}</li>'
    if any(number == _COLOURS for number in colours.values()):
        yield f'<li><i class="dot c{_COLOURS}"></i>other categories</li>'
    kinds = {join.kind for join in picture.joins}
    if "return-parameter" in kinds:
        yield '<li><i class="solid"></i>a result goes into a call</li>'
    if "parameter-parameter" in kinds:
        yield '<li><i class="dashed"></i>parameters of the same meaning</li>'


_PAGE = Template("""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>$title</title>
<style>
:root { color-scheme: light dark; --back: #fff; --ink: #1c2430; --faint: #6b7684; --panel: #f4f6f8; }
@media (prefers-color-scheme: dark) {
  :root { --back: #12161c; --ink: #e6eaf0; --faint: #93a0b0; --panel: #1d232c; }
}
* { box-sizing: border-box; }
body { margin: 0; height: 100vh; display: flex; flex-direction: column; background: var(--back);
  color: var(--ink); font: 14px/1.45 system-ui, sans-serif; }
header { padding: 10px 16px 0; }
h1 { margin: 0; font-size: 17px; overflow-wrap: anywhere; }
p { margin: 0; color: var(--faint); }
svg { flex: 1; min-height: 0; width: 100%; cursor: grab; touch-action: none; }
text { font-size: 11.5px; text-anchor: middle; fill: var(--ink); paint-order: stroke; stroke: var(--back);
  stroke-width: 3px; pointer-events: none; }
.focus text { font-weight: 700; font-size: 13px; }
.node circle { stroke: var(--back); stroke-width: 1.5; fill: var(--colour); }
.focus circle { stroke: var(--ink); }
.link path { fill: none; stroke: var(--faint); }
.link .hit { stroke: transparent; stroke-width: 12; }
.flow path:not(.hit) { marker-end: url(#arrow); }
.shared path:not(.hit) { stroke-dasharray: 4 4; }
#arrow path { fill: var(--faint); stroke: none; }
svg.looking .node:not(.near), svg.looking .link:not(.near) { opacity: .12; }
.link.near path:not(.hit) { stroke: var(--ink); opacity: 1 !important; }
.c0 { --colour: #3b7dd8; } .c1 { --colour: #e08a1e; } .c2 { --colour: #2f9e6e; } .c3 { --colour: #c4508f; }
.c4 { --colour: #7a62c9; } .c5 { --colour: #cf4b3f; } .c6 { --colour: #2aa3b8; } .c7 { --colour: #9a8419; }
.c8 { --colour: #8a5a3c; } .c9 { --colour: #8893a0; }
footer { padding: 8px 16px 12px; background: var(--panel); }
ul { list-style: none; margin: 0; padding: 0; display: flex; flex-wrap: wrap; gap: 2px 18px; }
.dot { display: inline-block; width: 10px; height: 10px; border-radius: 50%; margin-right: 6px;
  background: var(--colour); }
.solid, .dashed { display: inline-block; width: 26px; margin: 0 6px 4px 0;
  border-top: 2px solid var(--faint); }
.dashed { border-top-style: dashed; }
#told { position: fixed; right: 12px; bottom: 52px; max-width: 46%; padding: 8px 12px; white-space: pre-wrap;
  overflow-wrap: anywhere; background: var(--panel); border: 1px solid var(--faint); border-radius: 6px;
  pointer-events: none; }
#told:empty { display: none; }
</style>
</head>
<body>
<header><h1>$title</h1>
<p>$facts · point at a tool or a line; wheel: zoom; drag: move; double click: back</p></header>
<svg viewBox="$box" role="img" aria-label="$title">
<defs><marker id="arrow" viewBox="0 0 8 8" refX="2" refY="4" markerWidth="8" markerHeight="8"
 markerUnits="userSpaceOnUse" orient="auto"><path d="M0 0 8 4 0 8z"/></marker></defs>
<g>
$links
</g>
<g>
$nodes
</g>
</svg>
<footer><ul>
$legend
</ul></footer>
<div id="told"></div>
<script>
"use strict";
const svg = document.querySelector("svg"), told = document.getElementById("told");
const links = [...svg.querySelectorAll(".link")], nodes = [...svg.querySelectorAll(".node")];
const whole = svg.getAttribute("viewBox").split(" ").map(Number);
let box = whole.slice(), dragged = null;
const show = () => svg.setAttribute("viewBox", box.join(" "));
const scale = () => Math.max(box[2] / svg.clientWidth, box[3] / svg.clientHeight);
function look(shown) {
  svg.classList.toggle("looking", shown !== null);
  for (const part of [...links, ...nodes]) part.classList.remove("near");
  if (shown === null) { told.textContent = ""; return; }
  const touches = link => link === shown || [link.dataset.a, link.dataset.b].includes(shown.dataset.n);
  const near = new Set([shown.dataset.n]);
  for (const link of links.filter(touches)) {
    link.classList.add("near");
    near.add(link.dataset.a).add(link.dataset.b);
  }
  for (const node of nodes) if (near.has(node.dataset.n)) node.classList.add("near");
  told.textContent = shown.querySelector("title").textContent;
}
for (const part of [...links, ...nodes]) {
  part.addEventListener("pointerenter", () => { if (!dragged) look(part); });
  part.addEventListener("pointerleave", () => { if (!dragged) look(null); });
}
svg.addEventListener("wheel", event => {
  event.preventDefault();
  const factor = Math.exp(event.deltaY * 0.0015), matrix = svg.getScreenCTM().inverse();
  const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(matrix);
  box = [at.x + (box[0] - at.x) * factor, at.y + (box[1] - at.y) * factor, box[2] * factor, box[3] * factor];
  show();
}, { passive: false });
svg.addEventListener("pointerdown", event => {
  dragged = [event.clientX, event.clientY]; svg.setPointerCapture(event.pointerId);
});
svg.addEventListener("pointermove", event => {
  if (!dragged) return;
  const by = scale();
  box[0] -= (event.clientX - dragged[0]) * by; box[1] -= (event.clientY - dragged[1]) * by;
  dragged = [event.clientX, event.clientY]; show();
});
svg.addEventListener("pointerup", () => { dragged = null; });
svg.addEventListener("dblclick", () => { box = whole.slice(); show(); });
</script>
</body>
</html>
""")
