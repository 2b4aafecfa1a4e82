"""Explorable: validation, stable bytes, and a fragment that any page can hold."""

import json
import math
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from l2g import explore
from l2g.explore import Explorable

FRAME = Path(explore.__file__).parent / "explorables" / "_frame.html"
NAMES = sorted(file.stem for file in FRAME.parent.glob("[!_]*.html"))


def root_id(html: str) -> str:
    (found,) = re.findall(r'<div class="l2g-explorable" id="([^"]+)"', html)
    return found


def embedded(html: str) -> dict:
    (state,) = re.findall(r"const spec = (\{.*\});", html)
    return {key: field["value"] for key, field in json.loads(state).items()}


@pytest.mark.parametrize("name", ["soft_max", "_frame"])
def test_unknown_name_lists_the_known_ones(name):
    with pytest.raises(ValueError, match=f"name must be one of {', '.join(NAMES)}; got '{name}'"):
        Explorable(name)


def test_unknown_state_lists_the_known_keys():
    with pytest.raises(TypeError, match=r"'temp'.*logits, sigmoid, target, temperature"):
        Explorable("softmax_lab", temp=2)


@pytest.mark.parametrize(
    ("state", "error", "message"),
    [
        ({"logits": 3.0}, TypeError, "logits must be a sequence of numbers, got 3.0"),
        ({"logits": "12"}, TypeError, "logits must be a sequence of numbers, got '12'"),
        ({"logits": [1.0, "2"]}, TypeError, r"logits\[1\] must be a number, got '2'"),
        ({"logits": [[1.0], [2.0]]}, TypeError, r"logits\[0\] must be a number, got \[1.0\]"),
        ({"logits": [1.0]}, ValueError, "logits must hold 2 to 10 numbers, got 1"),
        ({"logits": [0.0] * 11}, ValueError, "logits must hold 2 to 10 numbers, got 11"),
        ({"logits": [0, 20.1]}, ValueError, r"logits\[1\] must lie in \[-20, 20\], got 20.1"),
        ({"logits": [0, math.nan]}, ValueError, r"logits\[1\] must lie in .* got nan"),
        ({"logits": [-math.inf, 0]}, ValueError, r"logits\[0\] must lie in .* got -inf"),
        ({"target": 5}, ValueError, r"target must lie in \[0, 4\], got 5"),
        ({"target": -1}, ValueError, r"target must lie in \[0, 4\], got -1"),
        ({"logits": [1, 2, 3], "target": 3}, ValueError, r"target must lie in \[0, 2\], got 3"),
        ({"target": 1.0}, TypeError, "target must be an integer, got 1.0"),
        ({"target": True}, TypeError, "target must be an integer, got True"),
        ({"temperature": 0}, ValueError, r"temperature must lie in \[0.1, 10\], got 0"),
        ({"temperature": None}, TypeError, "temperature must be a number, got None"),
        ({"sigmoid": 1}, TypeError, "sigmoid must be True or False, got 1"),
    ],
)
def test_bad_values_are_named(state, error, message):
    with pytest.raises(error, match=f"^{message}$"):
        Explorable("softmax_lab", **state)


@pytest.mark.parametrize("n", [10, 12])
def test_a_field_can_be_bounded_by_another(n):
    assert Explorable("bias_variance", n=n, degree=n - 1).state["degree"] == n - 1
    with pytest.raises(ValueError, match=f"^degree must be below n = {n}, got {n}$"):
        Explorable("bias_variance", n=n, degree=n)
    with pytest.raises(ValueError, match=r"^degree must lie in \[0, 12\], got 13$"):
        Explorable("bias_variance", n=20, degree=13)


def test_equal_states_give_equal_bytes_and_different_states_different_ids():
    plain = Explorable("softmax_lab", temperature=2)._repr_html_()
    assert plain == Explorable("softmax_lab", temperature=2.0)._repr_html_()
    states = [{}, {"temperature": 2}, {"target": 0}, {"sigmoid": True}, {"logits": [1, 2]}]
    ids = {root_id(Explorable("softmax_lab", **state)._repr_html_()) for state in states}
    assert len(ids) == len(states)
    assert all(re.fullmatch(r"l2g-softmax-lab-[0-9a-f]{12}", name) for name in ids)


@pytest.mark.parametrize("kind", [list, tuple, np.array, torch.tensor])
def test_logits_may_come_from_a_model(kind):
    lab = Explorable("softmax_lab", logits=kind([1.5, -2.0, 0.25]), target=np.int64(2))
    state = embedded(lab._repr_html_())
    assert state == {
        "logits": [1.5, -2.0, 0.25],
        "target": 2,
        "temperature": 1.0,
        "sigmoid": False,
    }


def test_logits_with_a_graph_are_read_without_touching_it():
    logits = torch.tensor([1.0, 2.0], requires_grad=True) * 2
    assert Explorable("softmax_lab", logits=logits).state["logits"] == [2.0, 4.0]


@pytest.mark.parametrize("name", NAMES)
def test_the_fragment_is_complete_and_self_contained(name):
    html = Explorable(name)._repr_html_()
    assert not re.search(r"__[A-Z]+__", html)
    assert not re.search(r"https?:|//cdn|@import|\burl\(|\bfetch\(|\bsrc=|\bhref=", html)
    assert html.count("<script>") == html.count("</script>") == 1


@pytest.mark.parametrize("name", NAMES)
def test_text_fallback_says_what_it_is_and_how_to_see_it(name):
    lab = Explorable(name)
    assert lab.about in repr(lab)
    assert "JupyterLab or Colab" in repr(lab)
    assert lab.about in lab._repr_html_()
    assert "<noscript>" in lab._repr_html_()


def test_a_new_file_is_a_new_explorable_and_cannot_break_out_of_its_script(tmp_path, monkeypatch):
    header = {
        "title": "Dial",
        "about": "a < b",
        "state": {
            "rate": {"value": 0.5, "min": 0, "max": 1, "unit": "</script><b>"},
            "shape": {"value": "bowl", "choices": ["bowl", "saddle"]},
            "racers": {"value": ["a"], "choices": ["a", "b", "c"], "length": [1, 2]},
        },
    }
    folder = tmp_path / "explorables"
    folder.mkdir()
    shutil.copy(FRAME, folder)
    body = '<p>A dial</p>\n<script>\n  find("p");\n</script>'
    (folder / "dial.html").write_text(f"<!-- {json.dumps(header)} -->\n{body}", encoding="utf-8")
    monkeypatch.setattr(explore.resources, "files", lambda package: tmp_path)

    html = Explorable("dial", rate=0.25, racers=("c", "a"))._repr_html_()

    assert embedded(html) == {"rate": 0.25, "shape": "bowl", "racers": ["c", "a"]}
    assert html.count("</script>") == 1
    assert "a &lt; b" in html
    with pytest.raises(ValueError, match="must be one of dial"):
        Explorable("softmax_lab")
    with pytest.raises(ValueError, match=r"^shape must be one of bowl, saddle; got 'hill'$"):
        Explorable("dial", shape="hill")
    with pytest.raises(ValueError, match=r"^racers\[1\] must be one of a, b, c; got 3$"):
        Explorable("dial", racers=["a", 3])
    with pytest.raises(ValueError, match=r"^racers must hold 1 to 2 names, got 3$"):
        Explorable("dial", racers=["a", "b", "c"])
    with pytest.raises(TypeError, match=r"^racers must be a sequence of names, got 'a'$"):
        Explorable("dial", racers="a")
