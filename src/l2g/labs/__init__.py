"""Live labs: a drawing whose settings the reader moves. Where no kernel answers: stills."""

import html
import os
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any

from l2g.labs.controls import chosen, listed, read_controls
from l2g.labs.stills import stills

STATIC = "L2G_STATIC"  # set for kernels whose pages are read when they have ended, as on the site
# The site puts the address of the page's own notebook in place of "#in-colab".
ON_A_PAGE = (
    'Here nothing moves. To move {reach}, open this chapter <a href="#in-colab">in Colab</a>, or '
    "its notebook in JupyterLab."
)
WITHOUT_WIDGETS = (
    "Here nothing moves, because ipywidgets is missing. To move {reach}, run "
    "<code>%pip install ipywidgets</code>, start the kernel again and run the cells."
)
WITHOUT_A_KERNEL = "To move {reach}, run this in JupyterLab or Colab."


def live(
    draw: Callable[..., Any], *, alt: str = "", grid: Sequence[str] = (), **controls: Any
) -> None:
    """Show what ``draw`` draws, and let the reader move what it depends on.

    In a notebook each control becomes a slider, a menu or a box, and ``draw`` is called again when
    it is released. Changes that come in meanwhile do not pile up: only the newest setting is drawn.
    On the site, and where ipywidgets is missing, stills are shown, and a sentence says where they
    can be moved.

    ``draw`` draws with Matplotlib; it may also print, display, and return a figure or a text. If it
    takes more than a second, let it be a generator that yields the share done, as in
    ``yield epoch / epochs``: a bar shows it, and at each ``yield`` a newer setting takes over. What
    it draws at random should come from a generator that it seeds itself, lest the cells below
    depend on what was moved.

    Args:
        draw: called as ``draw(**values)``. A control starts at the default of the parameter, else
            at its first value.
        alt: what the figure shows, for readers who do not see it; the setting is added.
        grid: one or two controls of which the stills show the ends and the middle, the last one
            from left to right; else they show the start only. Let ``draw`` choose no figure size.
        **controls: for each a range ``(low, high)`` or ``(low, high, step)``, ends included; a list
            of choices; or a bool. Readers see ``_`` as a space.

    Raises:
        TypeError, ValueError: a control is none of these, or does not fit ``draw``; ``grid`` names
            no control; ``draw`` returns something else or yields no share. Whatever ``draw`` raises
            at its first call passes through; later it is shown, and the lab lives on.

    Example:
        >>> live(draw, rate=[0.01, 0.1, 1.0], steps=(5, 50, 5), grid=["rate"])  # doctest: +SKIP
    """
    moved = read_controls(draw, controls)
    shown = chosen(moved, grid)
    reach = listed([control.reach() for control in moved])
    ipython = sys.modules.get("IPython")
    if ipython is None or not hasattr(ipython.get_ipython(), "kernel"):
        print(WITHOUT_A_KERNEL.format(reach=reach))
        return
    from IPython.display import HTML, display

    static = STATIC in os.environ
    if not static and find_spec("ipywidgets"):
        from l2g.labs.moving import Lab

        display(Lab(draw, moved, alt).box)
        return
    where = (ON_A_PAGE if static else WITHOUT_WIDGETS).format(reach=html.escape(reach))
    display(HTML(f'{stills(draw, moved, shown, alt)}<p class="l2g-live-where">{where}</p>'))
