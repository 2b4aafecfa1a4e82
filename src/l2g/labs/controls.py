"""What a reader can move: each control is a list of values, with the one that it starts at."""

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from l2g.numbers import above_zero, in_interval

MOST = 1000  # values of one range
WANTED = "a range (low, high) or (low, high, step), a list of choices, or a bool"


@dataclass(frozen=True)
class Control:
    """One argument of ``draw``: the values that it can take, in the order of its slider."""

    name: str
    values: tuple[Any, ...]
    start: Any

    @property
    def label(self) -> str:
        return self.name.replace("_", " ")

    def reach(self) -> str:
        """Where it can be moved, such as "images (20 to 1000)"."""
        if self.numbers:
            return f"{self.label} ({shown(self.values[0])} to {shown(self.values[-1])})"
        return f"{self.label} ({', '.join(map(shown, self.values))})"

    @property
    def numbers(self) -> bool:
        return all(is_number(value) for value in self.values)

    def few(self) -> tuple[Any, ...]:
        """The two or three values that stand for all: the ends and the middle."""
        last = len(self.values) - 1
        return tuple(self.values[k] for k in sorted({0, (last + 1) // 2, last}))

    def widget(self) -> Any:
        """The control of ipywidgets, 7 and 8 alike, that tells a new value when it is released."""
        import ipywidgets as widgets

        # Long labels are not cut, and leave their slider room, as far as the screen has it.
        room = widgets.Layout(width=f"{18 + len(self.label) // 2}rem", max_width="97%")
        style = {"description_width": "initial"}
        look = dict(description=self.label, style=style, layout=room)
        if isinstance(self.start, bool):
            return widgets.Checkbox(value=self.start, indent=False, **look)
        options = [(shown(value), value) for value in self.values]
        if self.numbers:
            slider = widgets.SelectionSlider
            return slider(options=options, value=self.start, continuous_update=False, **look)
        return widgets.Dropdown(options=options, value=self.start, **look)


def shown(value: Any) -> str:
    """A value as a reader sees it: 0.5, yes, Adam."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def listed(words: list[str]) -> str:
    """ "a, b and c"."""
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def read_controls(draw: Callable[..., Any], given: Mapping[str, Any]) -> list[Control]:
    """The controls as ``explore.live`` gets them; each starts at the default that ``draw`` has.

    Raises:
        TypeError: a control is none of the kinds, or ``draw`` takes other arguments.
        ValueError: a range or a list holds no two values, or not the value to start at.
    """
    if not callable(draw):
        raise TypeError(f"draw must be a function, got {draw!r}")
    parameters = inspect.signature(draw).parameters
    if not given:
        raise TypeError("live needs a control, such as width=(8, 256, 8); got none")
    for name in given:
        if name not in parameters:
            known = ", ".join(parameters) or "none"
            raise TypeError(f"draw takes no argument {name!r}; it takes {known}")
    for name, parameter in parameters.items():
        if name not in given and parameter.default is parameter.empty:
            raise TypeError(f"draw needs a value for {name!r}: give it a control or a default")
    return [_control(name, spec, parameters[name].default) for name, spec in given.items()]


def _control(name: str, spec: Any, default: Any) -> Control:
    values: tuple[Any, ...]
    if isinstance(spec, bool):
        values, first = (False, True), spec
    elif isinstance(spec, list):
        values, first = _choices(name, spec), spec[0]
    elif isinstance(spec, tuple) and len(spec) in (2, 3):
        values, first = _range(name, *spec), spec[0]
    else:
        raise TypeError(f"{name} must be {WANTED}, got {spec!r}")
    if default is inspect.Parameter.empty or isinstance(spec, bool):
        default = first
    if default not in values:
        raise ValueError(
            f"{name} starts at draw's default {default!r}, which must be one of its values: "
            f"{', '.join(map(shown, values[:4]))}{' …' if len(values) > 4 else ''}"
        )
    return Control(name, values, values[values.index(default)])


def _choices(name: str, spec: list[Any]) -> tuple[Any, ...]:
    if len(spec) < 2 or len({shown(value) for value in spec}) < len(spec):
        raise ValueError(f"{name} must be a list of two or more different choices, got {spec!r}")
    return tuple(spec)


def _range(name: str, low: Any, high: Any, step: Any = None) -> tuple[float, ...]:
    low_end, high_end = (in_interval(name, end, -math.inf, math.inf) for end in (low, high))
    if not low_end < high_end or not math.isfinite(high_end - low_end):
        raise ValueError(f"{name} must be a range from low to high, got ({low!r}, {high!r})")
    whole = isinstance(low, int) and isinstance(high, int) and isinstance(step, int | None)
    if step is None:
        step = 1 if whole else 10 ** math.floor(math.log10(high_end - low_end)) / 20
    width = above_zero(f"the step of {name}", step)
    count = math.floor((high_end - low_end) / width + 1e-9) + 1
    if not 2 <= count <= MOST:
        raise ValueError(f"{name} must have 2 to {MOST} steps, got {count}: give another step")
    kind = int if whole else float
    return tuple(kind(round(low_end + k * width, 12)) for k in range(count))


def described(controls: list[Control], values: Mapping[str, Any], what: str = "") -> str:
    """A setting in words: "images: 200, width: 256", after what it is the setting of."""
    setting = ", ".join(f"{c.label}: {shown(values[c.name])}" for c in controls)
    return f"{what} ({setting})" if what else setting


def chosen(controls: list[Control], grid: Sequence[str]) -> list[Control]:
    """The controls that ``grid`` names.

    Raises:
        ValueError: it names something else, or more than two.
    """
    names = {control.name: control for control in controls}
    if isinstance(grid, str) or len(grid) > 2 or not set(grid) <= set(names):
        raise ValueError(f"grid must hold one or two of {', '.join(names)}; got {grid!r}")
    return [names[name] for name in grid]
