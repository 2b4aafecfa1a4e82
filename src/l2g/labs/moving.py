"""The lab itself: controls of ipywidgets (7 and 8 alike) above what ``draw`` draws."""

import asyncio
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import ipywidgets as widgets

from l2g.labs.controls import Control, described
from l2g.labs.pictures import Drawing, failure, finished

SETTLE = 0.1  # seconds without another change before a drawing starts
BREATH = 0.05  # seconds after which a drawing that yields looks whether it is still wanted
STOPPED = "Stopped. Move a control to draw again."
IN_A_ROW = widgets.Layout(display="flex", flex_flow="row wrap")


class Lab:
    """Controls, a bar and a picture; ``box`` holds them all.

    The first picture is drawn at once, and its errors pass through. Later a change only asks for a
    drawing. It starts in the kernel's event loop, in the main thread, when no other change has come
    in for a moment: all those that arrived while the kernel was busy are then known, and only the
    newest setting is drawn. A drawing that yields is cancelled by the next change.
    """

    def __init__(self, draw: Callable[..., Any], controls: list[Control], alt: str) -> None:
        self.draw, self.controls, self.alt = draw, controls, alt
        self.loop = asyncio.get_running_loop()
        self.wanted: asyncio.Task[None] | None = None
        self.inputs = {control.name: control.widget() for control in controls}
        self.bar = widgets.FloatProgress(max=1.0, description="computing")
        self.bar.layout.visibility = "hidden"  # but it keeps its place: nothing jumps
        self.picture = widgets.HTML(finished(self._drawing()))
        for control in self.inputs.values():
            # JupyterLab may tell changes in other threads.
            control.observe(lambda _: self.loop.call_soon_threadsafe(self._ask), "value")
        row = widgets.Box([*self.inputs.values()], layout=IN_A_ROW)
        self.box = widgets.VBox([row, self.bar, self.picture])

    def _drawing(self) -> Drawing:
        setting = {name: control.value for name, control in self.inputs.items()}
        return Drawing(self.draw, setting, described(self.controls, setting, self.alt))

    def _ask(self) -> None:
        if self.wanted is not None:
            self.wanted.cancel()
        self.wanted = self.loop.create_task(self._redraw())

    async def _redraw(self) -> None:
        await asyncio.sleep(SETTLE)
        self.bar.value, self.bar.layout.visibility = 0.0, "visible"
        try:
            self.picture.value = await self._drawn()
        except Exception as error:
            self.picture.value = failure(error)
        except KeyboardInterrupt:
            self.picture.value = STOPPED
        self.bar.layout.visibility = "hidden"

    async def _drawn(self) -> str:
        drawing = self._drawing()
        with closing(iter(drawing)) as steps:
            while (share := for_a_breath(steps)) is not None:
                self.bar.value = share
                await asyncio.sleep(0.001)  # here a newer setting cancels this one
        return drawing.html


def for_a_breath(steps: Iterator[float]) -> float | None:
    """Let a drawing go on; the share done when its time is over, None when it has ended."""
    end = time.monotonic() + BREATH
    with interruptible():
        for share in steps:
            if time.monotonic() > end:
                return share
    return None


@contextmanager
def interruptible() -> Iterator[None]:
    """Let ■ stop what runs here; outside of cells the kernel ignores it."""
    if threading.current_thread() is not threading.main_thread():  # where no signal arrives
        yield
        return
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
