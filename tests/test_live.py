"""explore.live: what it accepts, what it draws, and how it behaves in kernels that answer."""

import os
import sys
import threading
import time
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest
from jupyter_client import KernelManager
from jupyter_client.kernelspec import find_kernel_specs
from matplotlib.figure import Figure

from l2g.explore import live
from l2g.labs.controls import chosen, described, read_controls
from l2g.labs.moving import interruptible
from l2g.labs.pictures import Drawing, failure, finished
from l2g.labs.stills import stills

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def no_windows():
    mpl.use("agg")
    yield
    left = plt.get_fignums()
    plt.close("all")
    assert left == []


def draw(rate=0.1, steps=20, fast=True):
    plt.plot([0, rate], [0, steps], label=str(fast))


def controls(draw=draw, **given):
    return read_controls(draw, given)


# ---- controls


@pytest.mark.parametrize(
    ("spec", "values"),
    [
        ((1, 4), [1, 2, 3, 4]),
        ((20, 100, 40), [20, 60, 100]),
        ((20, 99, 40), [20, 60]),
        ((0.0, 0.3, 0.1), [0.0, 0.1, 0.2, 0.3]),  # not 0.30000000000000004
        ((0, 1, 0.25), [0.0, 0.25, 0.5, 0.75, 1.0]),
        ((-1, 1), [-1, 0, 1]),
        ([3, 1, 2], [3, 1, 2]),
        (["SGD", "Adam"], ["SGD", "Adam"]),
        (True, [False, True]),
    ],
)
def test_a_control_is_a_list_of_values(spec, values):
    (control,) = controls(lambda x: None, x=spec)
    assert [*control.values] == values
    assert {*map(type, control.values)} == {type(values[0])}
    assert control.start == (spec if isinstance(spec, bool) else values[0])


def test_a_range_without_a_step_has_a_readable_number_of_them():
    for low, high in [(0.0, 1.0), (0.0, 3.0), (-2.5, 7.5), (0.0, 1e-4)]:
        (control,) = controls(lambda x: None, x=(low, high))
        assert 20 <= len(control.values) - 1 <= 200
        assert control.values[0] == low
        assert control.values[-1] == pytest.approx(high)


def test_a_control_starts_at_the_default_of_draw():
    rate, steps, fast = controls(rate=[0.01, 0.1, 1.0], steps=(10, 50, 10), fast=False)
    assert (rate.start, steps.start, fast.start) == (0.1, 20, False)


def two(a, b):
    pass


@pytest.mark.parametrize(
    ("draw", "given", "error", "message"),
    [
        (3, {"a": (1, 2)}, TypeError, "draw must be a function, got 3"),
        (draw, {}, TypeError, r"live needs a control, such as width=\(8, 256, 8\); got none"),
        (draw, {"rat": (0, 1)}, TypeError, "draw takes no argument 'rat'; it takes rate, steps, f"),
        (two, {"a": (0, 1)}, TypeError, "draw needs a value for 'b': give it a control or a"),
        (draw, {"rate": 0.1}, TypeError, r"rate must be a range \(low, high\) or .* got 0.1$"),
        (draw, {"rate": (1,)}, TypeError, r"rate must be a range .*, got \(1,\)$"),
        (draw, {"rate": "ab"}, TypeError, "rate must be a range .*, got 'ab'$"),
        (draw, {"rate": ("a", "b")}, TypeError, "rate must be a number, got 'a'"),
        (draw, {"rate": (0, True)}, TypeError, "rate must be a number, got True"),
        (draw, {"rate": (1, 1)}, ValueError, r"rate must be a range from low to high, got \(1, 1"),
        (draw, {"rate": (0, float("inf"))}, ValueError, "rate must be a range from low to high"),
        (draw, {"rate": (0, float("nan"))}, ValueError, "rate must lie in .* got nan"),
        (draw, {"rate": (0, 1, 0)}, ValueError, "the step of rate must be above 0 and finite, got"),
        (draw, {"rate": (0, 1, 2)}, ValueError, "rate must have 2 to 1000 steps, got 1: give"),
        (draw, {"steps": (0, 10**6)}, ValueError, "steps must have 2 to 1000 steps, got 1000001"),
        (draw, {"rate": [0.1]}, ValueError, "rate must be a list of two or more different choices"),
        (draw, {"rate": []}, ValueError, r"rate must be a list of two or more .* got \[\]"),
        (draw, {"rate": [0.1, 0.1]}, ValueError, "rate must be a list of two or more different"),
        (draw, {"rate": [0.2, 0.3]}, ValueError, "rate starts at draw's default 0.1, which must"),
        (draw, {"steps": (0, 90, 15)}, ValueError, ".* default 20, .* values: 0, 15, 30, 45 …$"),
    ],
)
def test_bad_controls_are_named(draw, given, error, message):
    with pytest.raises(error, match=f"^{message}"):
        live(draw, **given)


@pytest.mark.parametrize("grid", ["rate", ["width"], ["rate", "steps", "fast"]])
def test_a_grid_holds_one_or_two_controls(grid):
    with pytest.raises(ValueError, match=r"^grid must hold one or two of rate, steps, fast; got "):
        live(draw, grid=grid, rate=[0.1, 1.0], steps=(10, 20), fast=True)


def test_without_a_kernel_it_says_where_it_can_be_moved(capsys):
    live(draw, rate=[0.1, 1.0], steps=(10, 50, 10), fast=True)
    assert capsys.readouterr().out == (
        "To move rate (0.1 to 1), steps (10 to 50) and fast (no, yes), run this in JupyterLab or "
        "Colab.\n"
    )


# ---- what a drawing collects


class Pictures(HTMLParser):
    """The pictures and the text of some HTML."""

    def __init__(self, text):
        super().__init__()
        self.pictures, self.text = [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag == "img":
            self.pictures.append(dict(attrs))

    def handle_data(self, data):
        self.text += data


def drawn(draw, **values):
    return Pictures(finished(Drawing(draw, values, 'a "b" <c>')))


def test_a_drawing_is_a_picture_with_its_alt_text_and_no_figure_stays_open():
    found = drawn(draw, rate=0.5)
    (picture,) = found.pictures
    assert picture["alt"] == 'a "b" <c>'
    kind, _, data = picture["src"].partition(",")
    assert kind == "data:image/svg+xml"
    svg = unquote(data)
    assert svg.startswith("<svg ")
    assert svg.endswith("</svg>")
    assert found.text == ""


def test_equal_drawings_give_equal_bytes_and_other_settings_others():
    with mpl.rc_context({"svg.hashsalt": "l2g"}):
        bytes_of = [finished(Drawing(draw, {"rate": rate}, "")) for rate in (0.5, 0.5, 0.6)]
    assert bytes_of[0] == bytes_of[1] != bytes_of[2]


def test_a_figure_that_was_open_before_is_not_taken():
    def own():
        plt.figure()

    mine = plt.figure()
    assert len(drawn(own).pictures) == 1
    assert plt.get_fignums() == [mine.number]
    plt.close(mine)


def test_two_figures_a_print_and_a_text_are_all_shown():
    def talk():
        plt.figure()
        print("1 < 2")
        plt.figure()
        return "a & b"

    found = drawn(talk)
    assert len(found.pictures) == 2
    assert found.text.split() == ["1", "<", "2", "a", "&", "b"]


@pytest.mark.parametrize("make", [Figure, plt.figure])
def test_a_figure_can_be_returned_and_is_shown_once(make):
    assert len(drawn(make).pictures) == 1


def test_another_result_is_refused():
    def careless():
        return plt.plot([1, 2])

    with pytest.raises(TypeError, match=r"^draw must return nothing, a figure or a text, got list"):
        drawn(careless)


def test_a_generator_tells_how_far_it_is_and_draws_what_it_had_begun():
    def slow(n):
        _, ax = plt.subplots()
        for k in range(n):
            ax.plot([0, k])
            yield (k + 1) / n
        plt.title("done")
        return "text"

    drawing = Drawing(slow, {"n": 4}, "")
    assert [*drawing] == [0.25, 0.5, 0.75, 1.0]
    found = Pictures(drawing.html)
    assert (len(found.pictures), found.text.strip()) == (1, "text")


def test_a_generator_that_is_left_closes_its_figures_and_ends():
    ended = []

    def slow():
        plt.figure()
        try:
            yield 0.1
        finally:
            ended.append(True)

    steps = iter(Drawing(slow, {}, ""))
    next(steps)
    steps.close()
    assert ended == [True]
    assert plt.get_fignums() == []


@pytest.mark.parametrize(("share", "error"), [(50, ValueError), (None, TypeError)])
def test_a_share_that_is_none_is_named(share, error):
    def slow():
        yield share

    with pytest.raises(error, match=r"^the share done that draw yields must "):
        drawn(slow)


def test_an_error_passes_and_is_shown_from_draw_on():
    def broken():
        plt.figure()
        raise KeyError("<x>")

    with pytest.raises(KeyError) as caught:
        drawn(broken)
    text = Pictures(failure(caught.value)).text
    assert "in broken" in text
    assert text.endswith("KeyError: '<x>'\n")
    assert "labs" not in text


def test_what_runs_in_another_thread_is_not_interruptible():
    done = []

    def run():
        with interruptible():
            done.append(True)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert done == [True]


# ---- stills


def test_stills_show_the_start_or_few_values_of_the_grid():
    seen = []

    def note(rate=0.1, steps=20, fast=True):
        seen.append((rate, steps, fast))

    given = controls(note, rate=[0.01, 0.1, 0.5, 1.0], steps=(20, 40, 10), fast=True)
    stills(note, given, [], "")
    assert seen == [(0.1, 20, True)]
    seen.clear()
    page = stills(note, given, chosen(given, ["steps", "fast"]), "")
    assert seen == [(0.1, steps, fast) for steps in (20, 30, 40) for fast in (False, True)]
    assert page.count("<figure") == 6
    assert "<figcaption>steps: 30, fast: no</figcaption>" in page
    seen.clear()
    stills(note, given, chosen(given, ["rate"]), "")
    assert [rate for rate, *_ in seen] == [0.01, 0.5, 1.0]


def test_the_alt_text_of_a_still_says_its_setting():
    page = stills(draw, controls(steps=(20, 30)), [], "A line.")
    assert Pictures(page).pictures[0]["alt"] == "A line. (steps: 20)"
    assert described(controls(steps=(20, 30)), {"steps": 30}) == "steps: 30"


# ---- in a kernel


class Kernel:
    """A running kernel, and all that its widgets are, as a notebook's page would see it."""

    def __init__(self, name, environ):
        self.manager = KernelManager(kernel_name=name)
        if name == "python3":
            self.manager.kernel_spec.argv[0] = sys.executable
        quiet = {"PYDEVD_DISABLE_FILE_VALIDATION": "1"}
        self.manager.start_kernel(env={**os.environ, **quiet, **environ})
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=120)
        self.subshell = None
        self.widgets, self.shown, self.printed = {}, [], ""
        self.history = []  # every change of a widget: its id and the state that came

    def answer_in_another_thread(self):
        """As JupyterLab asks for, where the kernel can."""
        control = self.client.control_channel
        control.send(self.client.session.msg("create_subshell_request"))
        self.subshell = control.get_msg(timeout=60)["content"]["subshell_id"]

    def stop(self):
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)

    def read(self, timeout=120):
        message = self.client.get_iopub_msg(timeout=timeout)
        kind, content = message["msg_type"], message["content"]
        if kind == "comm_open":
            self.widgets[content["comm_id"]] = dict(content["data"]["state"])
        elif kind == "comm_msg" and content["comm_id"] in self.widgets:
            state = content["data"].get("state", {})
            self.widgets[content["comm_id"]] |= state
            self.history.append((content["comm_id"], state))
        elif kind == "display_data":
            self.shown.append(content["data"])
        elif kind == "stream":
            self.printed += content["text"]
        elif kind == "error":
            raise AssertionError("\n".join(content["traceback"]))
        return message

    def run(self, code):
        request = self.client.execute(code, stop_on_error=False)
        while True:
            message = self.read()
            done = message["content"].get("execution_state") == "idle"
            if done and message["parent_header"]["msg_id"] == request:
                return self

    def find(self, model, **state):
        (found,) = [
            name
            for name, widget in self.widgets.items()
            if widget["_model_name"] == f"{model}Model"
            and all(widget.get(key) == value for key, value in state.items())
        ]
        return found

    def set(self, name, **state):
        data = {"method": "update", "state": state, "buffer_paths": []}
        message = self.client.session.msg("comm_msg", {"comm_id": name, "data": data})
        message["header"]["subshell_id"] = self.subshell
        self.client.shell_channel.send(message)

    def until(self, condition):
        end = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < end, "it did not happen"
            self.read()

    def asked(self, expression):
        self.printed = ""
        self.run(f"print({expression})")
        return self.printed.strip()


# ipywidgets 8, 8 with changes that come in another thread, and 7.7 as Colab has it.
KERNELS = ["python3", "python3 threads", "colab"]


@pytest.fixture(scope="module", params=KERNELS)
def kernel(request):
    name, _, threads = request.param.partition(" ")
    if name not in find_kernel_specs():
        pytest.skip("the kernel with Colab's releases is made by make test-colab")
    environ = {"PYTHONPATH": str(ROOT / "src")}
    if "L2G_STATIC" in os.environ:
        pytest.fail("L2G_STATIC is set: nothing would move")
    kernel = Kernel(name, environ)
    if threads:
        kernel.answer_in_another_thread()
    yield kernel
    kernel.stop()


LAB = """
import time
import matplotlib.pyplot as plt
from l2g import explore

calls = []

def draw(width=2, dropout=False, optimizer="SGD"):
    calls.append((width, dropout, optimizer))
    time.sleep(0.3)
    plt.plot(range(width))
    plt.show()
    if width == 13:
        raise ValueError("thirteen")
    return f"drawn {width} {dropout} {optimizer}"

explore.live(draw, alt="A line", width=(1, 40), dropout=False, optimizer=["SGD", "Adam"])
"""


@pytest.fixture
def lab(kernel):
    kernel.widgets.clear()
    kernel.shown.clear()
    kernel.printed = ""
    return kernel.run(LAB)


def picture(lab):
    return lab.widgets[lab.find("HTML")]["value"]


def test_a_figure_that_is_shown_keeps_what_the_page_must_know_of_it(kernel):
    kernel.widgets.clear()
    kernel.run(
        "import matplotlib.pyplot as plt\nfrom l2g import explore, plots\nplots.use_style()\n"
        "def draw(x):\n    plt.imshow([[x]])\n    plt.show()\nexplore.live(draw, x=[0, 1])"
    )
    (image,) = Pictures(picture(kernel)).pictures
    assert image["class"] == "l2g-keep-colours"
    assert unquote(image["src"]).endswith("</svg>")


def test_the_lab_shows_its_controls_and_its_start(lab):
    assert lab.widgets[lab.find("SelectionSlider", description="width")]["index"] == 1
    assert lab.widgets[lab.find("Checkbox", description="dropout")]["value"] is False
    menu = lab.widgets[lab.find("Dropdown", description="optimizer")]
    assert [*menu["_options_labels"]] == ["SGD", "Adam"]
    assert "drawn 2 False SGD" in picture(lab)
    assert 'alt="A line (width: 2, dropout: no, optimizer: SGD)"' in picture(lab)
    assert picture(lab).count("<img") == 1
    (shown,) = lab.shown  # the lab; no figure beside it
    assert shown["application/vnd.jupyter.widget-view+json"]["model_id"] in lab.widgets
    assert lab.printed == ""


def test_a_slider_tells_its_value_when_it_is_released_and_no_label_is_cut(lab):
    slider = lab.widgets[lab.find("SelectionSlider")]
    assert slider["continuous_update"] is False
    styles = [w for w in lab.widgets.values() if w["_model_name"].endswith("StyleModel")]
    assert [w["description_width"] for w in styles].count("initial") == 3


def test_each_control_redraws_with_its_value(lab):
    lab.set(lab.find("SelectionSlider"), index=6)
    lab.until(lambda: "drawn 7 False SGD" in picture(lab))
    lab.set(lab.find("Dropdown"), index=1)
    lab.until(lambda: "drawn 7 False Adam" in picture(lab))
    lab.set(lab.find("Checkbox"), value=True)
    lab.until(lambda: "drawn 7 True Adam" in picture(lab))
    assert lab.shown[1:] == []
    assert lab.printed == ""


def test_changes_do_not_pile_up_and_the_newest_is_drawn(lab):
    slider = lab.find("SelectionSlider")
    for index in range(4, 34):
        lab.set(slider, index=index)
        time.sleep(0.03)  # about a second in all: three drawings long
    lab.until(lambda: "drawn 34 False SGD" in picture(lab))
    assert eval(lab.asked("calls"))[-1] == (34, False, "SGD")
    assert int(lab.asked("len(calls)")) <= 8  # and not 31


def test_an_error_is_shown_and_the_lab_lives_on(lab):
    slider = lab.find("SelectionSlider")
    lab.set(slider, index=12)
    lab.until(lambda: "ValueError: thirteen" in picture(lab))
    lab.set(slider, index=13)
    lab.until(lambda: "drawn 14 False SGD" in picture(lab))
    assert lab.asked("plt.get_fignums()") == "[]"


def test_an_error_of_the_first_drawing_fails_the_cell(kernel):
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        kernel.run("explore.live(lambda x: 1 / x, x=[0, 1])")


LONG = """
import time
from l2g import explore

begun, ended = [], []

def train(epochs=1):
    begun.append(epochs)
    for epoch in range(10 * epochs):
        time.sleep(0.02)
        yield epoch / (10 * epochs)
    ended.append(epochs)
    return f"trained {epochs}"

explore.live(train, epochs=(1, 500))
"""


@pytest.fixture
def long_lab(kernel):
    kernel.widgets.clear()
    kernel.history.clear()
    return kernel.run(LONG)


def test_a_long_drawing_shows_how_far_it_is(long_lab):
    long_lab.set(long_lab.find("SelectionSlider"), index=4)
    long_lab.until(lambda: "trained 5" in picture(long_lab))
    bar = long_lab.find("FloatProgress")
    shares = [
        state["value"] for name, state in long_lab.history if name == bar and "value" in state
    ]
    assert len(shares) > 3
    assert shares == sorted(shares)
    layout = long_lab.widgets[bar]["layout"].removeprefix("IPY_MODEL_")
    long_lab.until(lambda: long_lab.widgets[layout]["visibility"] == "hidden")
    seen = [state.get("visibility") for name, state in long_lab.history if name == layout]
    assert seen[-2:] == ["visible", "hidden"]


def test_a_newer_setting_takes_over(long_lab):
    slider, bar = long_lab.find("SelectionSlider"), long_lab.find("FloatProgress")
    long_lab.set(slider, index=499)  # it would take 100 seconds
    long_lab.until(lambda: long_lab.widgets[bar]["value"] > 0)
    long_lab.set(slider, index=1)
    long_lab.until(lambda: "trained 2" in picture(long_lab))
    assert long_lab.asked("begun, ended") == "[1, 500, 2] [1, 2]"


def test_interrupting_the_kernel_stops_a_drawing_and_not_the_lab(long_lab):
    slider, bar = long_lab.find("SelectionSlider"), long_lab.find("FloatProgress")
    long_lab.set(slider, index=499)
    long_lab.until(lambda: long_lab.widgets[bar]["value"] > 0)
    end = time.monotonic() + 30
    while "Stopped" not in picture(long_lab) and time.monotonic() < end:
        long_lab.manager.interrupt_kernel()  # ignored in the moments between two steps
        time.sleep(0.2)
        long_lab.run("pass")
    assert "Stopped" in picture(long_lab)
    long_lab.set(slider, index=1)
    long_lab.until(lambda: "trained 2" in picture(long_lab))


@pytest.mark.parametrize(
    ("where", "sentence"),
    [
        ('import os; os.environ["L2G_STATIC"] = "1"', '<a href="#in-colab">in Colab</a>'),
        ('import sys; sys.modules["ipywidgets"] = None', "%pip install ipywidgets"),
    ],
)
def test_stills_stand_where_nothing_can_be_moved(where, sentence):
    kernel = Kernel("python3", {"PYTHONPATH": str(ROOT / "src")})
    try:
        kernel.run(f"{where}\n{LAB}".replace("optimizer=[", 'grid=["optimizer"], optimizer=['))
    finally:
        kernel.stop()
    (shown,) = kernel.shown
    found = Pictures(shown["text/html"])
    alts = [f"A line (width: 2, dropout: no, optimizer: {name})" for name in ("SGD", "Adam")]
    assert [image["alt"] for image in found.pictures] == alts
    assert "To move width (1 to 40), dropout (no, yes) and optimizer (SGD, Adam)" in found.text
    assert sentence in shown["text/html"]
    assert kernel.widgets == {}
    assert kernel.printed == ""
