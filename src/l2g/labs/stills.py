"""Where nothing can be moved: some states of a lab side by side."""

import html
from collections.abc import Callable
from itertools import product
from typing import Any

from l2g.labs.controls import Control, described
from l2g.labs.pictures import Drawing, finished

SMALL = (3.0, 2.5)  # inches of a figure in a grid: its letters are as large as those of others
# Side by side as far as there is room, one below the other on a phone.
GRID = (
    "display:grid;gap:.8rem;align-items:end;grid-template-columns:"
    "repeat(auto-fit,minmax(min(100%,max(12rem,{least}%)),1fr))"
)
STATE = '<figure style="margin:0">{picture}<figcaption>{caption}</figcaption></figure>'


def stills(draw: Callable[..., Any], controls: list[Control], grid: list[Control], alt: str) -> str:
    """A few values of each control of ``grid``, the others at their starts; the last to the right.

    Without a grid this is one picture, of the start.
    """
    import matplotlib.pyplot as plt

    start = {control.name: control.start for control in controls}
    chosen = [[(control.name, value) for value in control.few()] for control in grid]
    states = [start | dict(choice) for choice in product(*chosen)]
    columns = len(chosen[-1]) if chosen else 1
    figures = []
    with plt.rc_context({"figure.figsize": SMALL} if grid else {}):
        for state in states:
            picture = finished(Drawing(draw, state, described(controls, state, alt)))
            caption = html.escape(described(grid or controls, state))
            figures.append(STATE.format(picture=picture, caption=caption))
    return f'<div style="{GRID.format(least=100 // (columns + 1) + 1)}">{"".join(figures)}</div>'
