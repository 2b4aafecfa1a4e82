"""Explorables: small interactive pages that run in the reader's browser and need no kernel.

Each one is a single HTML file, ``explorables/NAME.html``. It opens with a comment that holds JSON:
``title``; ``about``, one sentence for readers without a browser; and ``state``, every field that
can be set, with its default ``value`` and its limits. Styles and markup follow, and then a script.
What all of them share is in ``explorables/_frame.html``: it puts the markup in place of
``__LAB__`` and the script in place of ``__SCRIPT__``, where ``root`` holds the drawn markup and
``spec`` the state. Adding an explorable is adding such a file; this module does not change.
"""

from __future__ import annotations

import hashlib
import html
import json
from functools import partial
from importlib import resources
from typing import Any

from l2g.labs import live
from l2g.numbers import in_interval, whole_number

__all__ = ["Explorable", "live"]

Field = dict[str, Any]


class Explorable:
    """An interactive figure; end a notebook cell with it to show it.

    Args:
        name: which one, for example ``"softmax_lab"``.
        **state: where it starts, for example ``logits=[2.0, -1.0], target=0``. Tensors and arrays
            are welcome, so a model's own logits can be looked at. What is left out keeps its
            default.

    Raises:
        ValueError: ``name`` is unknown, or a value lies outside its limits.
        TypeError: a field is unknown, or a value has the wrong type.
    """

    def __init__(self, name: str, /, **state: Any) -> None:
        header, self._body = _read(name)
        self.name = name
        self.about: str = header["about"]
        fields: dict[str, Field] = header["state"]
        for key in state:
            if key not in fields:
                known = ", ".join(sorted(fields))
                raise TypeError(f"{name} has no state {key!r}; it has {known}")
        self.state: dict[str, Any] = {}
        for key, field in fields.items():
            if "indexes" in field:
                field |= {"min": 0, "max": len(self.state[field["indexes"]]) - 1}
            value = field["value"] = _checked(key, state.get(key, field["value"]), field)
            if "below" in field and value >= (limit := self.state[field["below"]]):
                raise ValueError(f"{key} must be below {field['below']} = {limit}, got {value!r}")
            self.state[key] = value
        self._fields = fields

    def _repr_html_(self) -> str:
        """The fragment with its state inside; equal states give equal bytes."""
        # A literal "</script>" in a value would close the script, so "<" is never written.
        state = json.dumps(self._fields, sort_keys=True).replace("<", r"\u003c")
        digest = hashlib.sha256((self._body + state).encode()).hexdigest()[:12]
        root = f"l2g-{self.name.replace('_', '-')}-{digest}"
        page = self._body.replace("__ABOUT__", html.escape(self.about)).replace("__ID__", root)
        return page.replace("__STATE__", state)

    def __repr__(self) -> str:
        return (
            f"Explorable({self.name!r}): {self.about} To see it, end a cell with it in JupyterLab "
            "or Colab, or open the chapter on the course's site."
        )


def _read(name: str) -> tuple[dict[str, Any], str]:
    """The header of an explorable, and its markup and script inside the frame."""
    folder = resources.files("l2g") / "explorables"
    files = {entry.name.removesuffix(".html"): entry for entry in folder.iterdir()}
    frame = files.pop("_frame").read_text(encoding="utf-8")
    if name not in files:
        raise ValueError(f"name must be one of {', '.join(sorted(files))}; got {name!r}")
    comment, _, body = files[name].read_text(encoding="utf-8").partition("-->")
    header = json.loads(comment.removeprefix("<!--"))
    lab, _, script = body.strip().removesuffix("</script>").partition("<script>")
    page = frame.replace("__LAB__", lab.strip()).replace("__SCRIPT__", script.strip("\n"))
    return header, page.replace("__TITLE__", html.escape(header["title"]))


def _checked(key: str, value: Any, field: Field) -> Any:
    """``value`` as a plain Python object of the default's type, or an error that names ``key``."""
    value = value.tolist() if hasattr(value, "tolist") else value
    default = field["value"]
    names = "choices" in field
    if isinstance(default, bool):
        if not isinstance(value, bool):
            raise TypeError(f"{key} must be True or False, got {value!r}")
        return value
    if not isinstance(default, list):
        return _choice(key, value, field) if names else _number(key, value, field, type(default))
    items = "names" if names else "numbers"
    if not isinstance(value, list | tuple):
        raise TypeError(f"{key} must be a sequence of {items}, got {value!r}")
    shortest, longest = field["length"]
    if not shortest <= len(value) <= longest:
        raise ValueError(f"{key} must hold {shortest} to {longest} {items}, got {len(value)}")
    one = _choice if names else partial(_number, kind=float)
    return [one(f"{key}[{i}]", item, field) for i, item in enumerate(value)]


def _choice(label: str, value: Any, field: Field) -> str:
    if value not in field["choices"]:
        raise ValueError(f"{label} must be one of {', '.join(field['choices'])}; got {value!r}")
    return value


def _number(label: str, value: Any, field: Field, kind: type) -> int | float:
    if kind is int:
        whole_number(label, value)
    return kind(in_interval(label, value, field["min"], field["max"]))
