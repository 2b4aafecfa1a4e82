"""One call of ``draw`` and what came of it, as HTML that a page and a widget can hold."""

import html
import io
import re
import sys
import traceback
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager, redirect_stdout
from pathlib import Path
from typing import Any
from urllib.parse import quote

from l2g.numbers import in_unit_interval

# The style outdoes that of a page, where a wide figure scrolls on a phone.
IMAGE = (
    '<img class="{kind}" alt="{alt}" src="data:image/{data}" '
    'style="height:auto;max-width:100%;zoom:1">'
)
KEPT = re.compile('<svg class="([^"]+)"')
TEXT = '<pre style="white-space:pre-wrap;margin:.3em 0">{text}</pre>'
ERROR_STYLE = "white-space:pre-wrap;border-left:3px solid #d1242f;padding:.2em .8em;margin:.3em 0"
UNQUOTED = " /:=;,()!*'@$-_.~+?[]{}|"  # of SVG in an attribute; it compresses better than base64


class Drawing:
    """One call of ``draw``: iterate over it to let it go on, then read ``html``.

    Iterating yields the share that is done, as often as ``draw`` does, if it is a generator. What
    it draws, displays, prints and returns is collected; its figures are closed. What it raises
    passes through.
    """

    def __init__(self, draw: Callable[..., Any], values: dict[str, Any], alt: str) -> None:
        self.draw, self.values, self.alt = draw, values, alt
        self.html = ""
        self._figures: list[Any] = []
        self._shown: list[dict[str, Any]] = []  # by MIME type, as a notebook displays it
        self._printed = io.StringIO()

    def __iter__(self) -> Generator[float]:
        import matplotlib.pyplot as plt

        try:
            result = self._collect(self.draw, **self.values)
            if isinstance(result, Generator):
                result = yield from self._go_on(result)
            self.html = self._as_html(result)
        finally:
            for figure in self._figures:
                plt.close(figure)

    def _go_on(self, running: Generator[Any, None, Any]) -> Generator[float, None, Any]:
        with closing(running):
            while True:
                try:
                    share = self._collect(next, running)
                except StopIteration as end:
                    return end.value
                yield in_unit_interval("the share done that draw yields", share)

    def _collect(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call the function; keep what it shows from the notebook's own output."""
        import matplotlib.pyplot as plt

        before = set(plt.get_fignums())
        with redirect_stdout(self._printed), displays_go_to(self._shown):
            try:
                return function(*args, **kwargs)
            finally:
                new = [n for n in plt.get_fignums() if n not in before]
                self._figures += map(plt.figure, new)

    def _as_html(self, result: Any) -> str:
        from matplotlib.figure import Figure

        if isinstance(result, Figure) and result not in self._figures:
            self._figures.append(result)
        elif not isinstance(result, str | Figure | None):
            kind = type(result).__name__
            raise TypeError(f"draw must return nothing, a figure or a text, got {kind}")
        parts = [self._displayed(data) for data in self._shown]
        parts += [self._image(svg(figure)) for figure in self._figures]
        texts = [self._printed.getvalue().rstrip(), result if isinstance(result, str) else ""]
        parts += [TEXT.format(text=html.escape(text)) for text in texts if text]
        return "\n".join(parts)

    def _displayed(self, data: dict[str, Any]) -> str:
        if "image/svg+xml" in data:
            return self._image(data["image/svg+xml"])
        if "image/png" in data:
            return self._img(f"png;base64,{data['image/png'].strip()}")
        return data.get("text/html") or TEXT.format(text=html.escape(data.get("text/plain", "")))

    def _image(self, drawn: str) -> str:
        picture = drawn[drawn.index("<svg") : drawn.rindex("</svg>") + len("</svg>")]
        found = KEPT.match(picture)  # the site must not turn the colours of a heat map over
        data = quote(picture.replace("\n", " "), safe=UNQUOTED)
        return self._img(f"svg+xml,{data}", found[1] if found else "")

    def _img(self, data: str, kind: str = "") -> str:
        return IMAGE.format(alt=html.escape(self.alt), data=data, kind=kind)


@contextmanager
def displays_go_to(shown: list[dict[str, Any]]) -> Iterator[None]:
    """Collect what this thread displays, by MIME type.

    IPython's own capture_output puts another publisher in place for all threads, and then a kernel
    that gets messages in several loses some.
    """
    ipython = sys.modules.get("IPython")
    publisher: Any = getattr(ipython and ipython.get_ipython(), "display_pub", None)
    if not hasattr(publisher, "register_hook"):  # no kernel
        yield
        return

    def keep(message: dict[str, Any]) -> None:  # by returning nothing, it sends nothing
        if "data" in message["content"]:
            shown.append(message["content"]["data"])

    publisher.register_hook(keep)
    try:
        yield
    finally:
        publisher.unregister_hook(keep)


def svg(figure: Any) -> str:
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()


def finished(drawing: Drawing) -> str:
    """Let it go on to its end; return its HTML."""
    for _ in drawing:
        pass
    return drawing.html


def failure(error: BaseException) -> str:
    """An error as HTML, with the lines that lead to it, from ``draw`` on."""
    lines = traceback.extract_tb(error.__traceback__)
    outside = [line for line in lines if Path(line.filename).parent != Path(__file__).parent]
    text = [*traceback.format_list(outside), *traceback.format_exception_only(error)]
    return f'<pre role="alert" style="{ERROR_STYLE}">{html.escape("".join(text))}</pre>'
