"""A new explorable is its state, its numbers and its picture: the frame does the rest."""

import json
import shutil
from pathlib import Path

import pytest
from explorable_page import open_lab, state_of

from l2g import explore

HEADER = {
    "title": "Decay",
    "about": "Turn the rate and see how fast a curve falls.",
    "state": {
        "rate": {"value": 0.1, "min": 0.001, "max": 1},
        "seed": {"value": 7, "min": 0, "max": 9},
    },
}
BODY = """
<div class="lab">
  <div class="controls"></div>
  <div class="frame" style="height: 200px"><div class="scales"></div><svg class="lines"
    viewBox="0 0 1000 1000" preserveAspectRatio="none"><path stroke="currentColor"/></svg></div>
  <div class="says"><b class="answer"></b><p class="say" aria-live="polite"></p></div>
  <span class="told"></span>
</div>
<script>
  const DIALS = { rate: { text: "Rate <i>η</i>", note: "lr", scale: LOG, step: 0.01 } };
  const compute = ({ rate, seed }) => ({
    curve: Array.from({ length: 101 }, (_, t) => Math.exp(-rate * t)),
    noise: Array.from({ length: 4 }, normals(seed)),
  });
  let state = initial();
  function draw() {
    const y = axis(1e-5, 1, { log: true });
    fill(find(".scales"), y.left() + axis(0, 100, { most: 5 }).below());
    const point = (v, t) => `${10 * t} ${1000 - 1000 * y.at(v)}`;
    draws("path", "M" + compute(state).curve.map(point).join("L"));
    drawDials(DIALS, (key) => state[key]);
    sayLater(() => `After 100 steps ${short(compute(state).curve[100])} is left.`);
  }
  function set(change) {
    Object.assign(state, change);
    draw();
    links.keepSoon();
  }
  const links = linked("decay", { get: () => state, plain: initial, take: set });
  find(".controls").innerHTML = dialHtml("rate", DIALS.rate);
  root.addEventListener("input", ({ target }) => set({ rate: readDial(DIALS, target) }));
  host.l2g = { compute, get: () => structuredClone(state), set };
  draw();
  links.read();
</script>
"""


@pytest.fixture
def lab(page, tmp_path, monkeypatch):
    folder = tmp_path / "explorables"
    folder.mkdir()
    frame = Path(explore.__file__).parent / "explorables" / "_frame.html"
    shutil.copy(frame, folder)
    (folder / "decay.html").write_text(f"<!-- {json.dumps(HEADER)} -->{BODY}", encoding="utf-8")
    monkeypatch.setattr(explore.resources, "files", lambda package: tmp_path)
    return open_lab(page, tmp_path, "decay", {})


def test_its_dial_is_named_bounded_and_moved_by_keys(page, lab):
    dial = lab.get_by_role("slider", name="Rate η (lr)")
    assert (dial.get_attribute("min"), dial.get_attribute("max")) == ("-3", "0")
    dial.focus()
    for key, value in (("Home", 0.001), ("End", 1), ("ArrowLeft", 0.977)):
        page.keyboard.press(key)
        assert state_of(lab)["rate"] == value
        assert lab.locator(".dial output").inner_text() == str(value)
        assert dial.get_attribute("aria-valuetext") == str(value)


def test_its_axes_have_round_marks_at_their_places(lab):
    marks = {y.inner_text(): y.evaluate("e => e.style.top") for y in lab.locator(".y").all()}
    assert list(marks) == ["1", "0.1", "0.01", "0.001", "10⁻⁴", "10⁻⁵"]
    assert [float(top.rstrip("%")) for top in marks.values()] == pytest.approx(
        [0, 20, 40, 60, 80, 100]
    )
    assert lab.locator(".at").all_inner_texts() == ["0", "20", "40", "60", "80", "100"]


@pytest.mark.parametrize(
    ("low", "high", "log", "marks"),
    [
        (0, 1, False, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (-2.5, 2.5, False, [-2, -1, 0, 1, 2]),
        (0, 0.0035, False, [0, 0.001, 0.002, 0.003]),
        (-3, 1234, False, [0, 500, 1000]),
        (0.02, 30, True, [10, 1, 0.1]),
        (1e-12, 1, True, [1, 1e-3, 1e-6, 1e-9, 1e-12]),
        (0.2, 0.9, True, []),
    ],
)
def test_marks_are_round_and_few(page, tmp_path, lab, low, high, log, marks):
    probe = "<script>host.marks = (...range) => axis(...range).marks;"
    file = tmp_path / "explorables/decay.html"
    file.write_text(file.read_text(encoding="utf-8").replace("<script>", probe), encoding="utf-8")
    lab = open_lab(page, tmp_path, "decay", {})
    found = lab.evaluate("(lab, a) => lab.marks(a[0], a[1], { log: a[2] })", [low, high, log])
    assert found == pytest.approx(marks)


def test_its_sentence_comes_once_a_drag_pauses(page, lab):
    lab.get_by_text("After 100 steps 4.5·10⁻⁵ is left.").wait_for()
    lab.evaluate("lab => lab.l2g.set({ rate: 0.01 })")
    assert "4.5·10⁻⁵" in lab.locator(".say").inner_text()
    lab.get_by_text("After 100 steps 0.368 is left.").wait_for()


def test_its_state_is_kept_in_the_address(page, lab):
    lab.evaluate("lab => lab.l2g.set({ rate: 0.25 })")
    page.wait_for_function("location.hash === '#decay?rate=0.25'")
    page.evaluate("location.hash = '#decay?rate=0.5&seed=x&rate2=1'")
    page.wait_for_function("document.querySelector('.l2g-explorable').l2g.get().rate === 0.5")
    assert state_of(lab) == {"rate": 0.5, "seed": 7}


def test_its_noise_is_the_seeds(lab):
    draw = "(lab, seed) => lab.l2g.compute({ rate: 1, seed }).noise"
    assert lab.evaluate(draw, 3) == lab.evaluate(draw, 3) != lab.evaluate(draw, 4)
    assert len({round(z, 12) for z in lab.evaluate(draw, 3)}) == 4
