"""claim and compare: what they print, what they return, what they refuse."""

import html
import json
import math
import re
import subprocess
import sys
import tracemalloc

import nbformat
import numpy as np
import pytest
import torch
from nbclient import NotebookClient

from l2g.evidence import ClaimError, Comparison, claim, compare, comparisons
from l2g.evidence.comparisons import _interval

# --- claim


@pytest.mark.parametrize("holds", [True, np.bool_(True), torch.tensor(True), np.float64(1) > 0])
def test_a_claim_that_holds_is_printed_with_its_value(holds, capsys):
    claim("the loss falls", holds, 2.302585)
    assert capsys.readouterr().out == "✓ the loss falls  (2.303)\n"


@pytest.mark.parametrize("holds", [False, np.bool_(False), torch.tensor(False)])
def test_a_false_claim_raises_and_shows_nothing(holds, capsys):
    with pytest.raises(ClaimError, match=r"the loss falls  \(before = 1.5, after = 2\)") as caught:
        claim("the loss falls", holds, {"before": 1.5, "after": 2})
    assert isinstance(caught.value, AssertionError)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, ""),
        (44548, "  (44548)"),
        ("at most 3", "  (at most 3)"),
        (1 / 3, "  (0.3333)"),
        (1.23456e-7, "  (1.235e-07)"),
        (torch.tensor(0.25), "  (0.25)"),
        (torch.tensor([2.5], requires_grad=True), "  (2.5)"),
        (np.float32(0.1), "  (0.1)"),
        (np.array(7), "  (7)"),
        (math.nan, "  (nan)"),
        ({"a": np.float64(1) / 3, "b": torch.tensor(2)}, "  (a = 0.3333, b = 2)"),
    ],
)
def test_values_are_shown_with_four_digits(value, shown, capsys):
    claim("so it is", True, value)
    assert capsys.readouterr().out == f"✓ so it is{shown}\n"


@pytest.mark.parametrize(
    "holds",
    [
        1,
        1.0,
        math.nan,
        None,
        "yes",
        torch.tensor([True]),
        torch.tensor([True, False]),
        torch.tensor(1),
        np.array([True, True]),
        np.array([1.0, 2.0]) > 0,
        torch.tensor(float("nan")),
    ],
)
def test_only_one_bool_counts_as_holds(holds):
    with pytest.raises(TypeError, match="holds must be one bool"):
        claim("it is so", holds)


@pytest.mark.parametrize("value", [[1, 2], torch.zeros(2), np.zeros((2, 2)), 1j, {"a": [1]}])
def test_values_that_are_no_scalars_are_refused(value):
    with pytest.raises(TypeError, match="value must be a"):
        claim("it is so", True, value)


def test_the_sentence_must_say_something():
    with pytest.raises(ValueError, match="got an empty string"):
        claim("  ", True)
    with pytest.raises(TypeError, match="sentence must be a string, got bool"):
        claim(True, "the loss falls")


def test_plain_python_needs_neither_ipython_nor_scipy():
    code = (
        "import sys; from l2g.evidence import claim, compare; claim('x', True);"
        "print({'IPython', 'scipy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["✓ x", "set()"]


@pytest.fixture(scope="module")
def notebook():
    """A real kernel runs a claim that holds and one that does not."""
    cells = [
        "import math, torch\nfrom l2g.evidence import claim",
        "claim('a < b & c', True, {'loss': torch.tensor(0.12345), 'p': math.inf})",
        "claim('never', False)",
    ]
    cells = [nbformat.v4.new_code_cell(source) for source in cells]
    notebook = nbformat.v4.new_notebook(cells=cells)
    NotebookClient(notebook, timeout=60, allow_errors=True).execute()
    nbformat.validate(notebook)
    json.dumps(notebook, allow_nan=False)
    return notebook


def test_a_notebook_shows_a_claim_with_its_record(notebook):
    (output,) = notebook.cells[1].outputs
    assert output.data["text/plain"] == "✓ a < b & c  (loss = 0.1235, p = inf)"
    page = output.data["text/html"]
    record = json.loads(html.unescape(re.search('data-claim="([^"]*)"', page).group(1)))
    assert record["template"] == "a < b & c"
    assert record["values"] == {"loss": pytest.approx(0.12345), "p": "inf"}
    assert page.startswith('<div class="l2g-claim" ')
    assert "✓ a &lt; b &amp; c" in page
    assert "(loss = 0.1235, p = inf)" in page
    assert "color:" not in page.replace("border-left", "")  # inherited: legible on any background


def test_a_false_claim_stops_a_notebook_and_shows_nothing(notebook):
    (output,) = notebook.cells[2].outputs
    assert output.output_type == "error"
    assert output.ename == "ClaimError"


# --- compare


def normal(n, seed, scale=1.0, shift=0.0):
    return np.random.default_rng(seed).normal(shift, scale, n)


def test_the_difference_is_paired():
    """Runs differ by far more than the methods do; pairing by run sees through it."""
    b = normal(8, 0, scale=100)
    a = b + 1 + normal(8, 1, scale=0.1)
    result = compare(a, b)
    assert result.difference == pytest.approx((a - b).mean())
    assert 0.8 < result.low < result.difference < result.high < 1.2
    assert (result.verdict, result.pairs, result.confidence) == ("better", 8, 0.95)
    shuffled = compare(a, b[::-1])
    assert shuffled.verdict == "inconclusive"


@pytest.mark.parametrize(
    ("shift", "higher_is_better", "verdict"),
    [
        (5, True, "better"),
        (5, False, "worse"),
        (-5, True, "worse"),
        (-5, False, "better"),
        (0, True, "inconclusive"),
        (0, False, "inconclusive"),
    ],
)
def test_verdicts(shift, higher_is_better, verdict):
    noise = normal(6, 3)
    noise -= noise.mean()
    result = compare(shift + noise, np.zeros(6), higher_is_better=higher_is_better)
    assert result.verdict == verdict


def test_swapping_a_and_b_mirrors_the_interval():
    a, b = normal(7, 0), normal(7, 1)
    there, back = compare(a, b), compare(b, a)
    assert back.difference == pytest.approx(-there.difference)
    assert (back.low, back.high) == pytest.approx((-there.high, -there.low))


def test_rounding_decides_no_verdict():
    sums, written = [0.1 + 0.2] * 7, [0.3] * 7
    assert sums[0] > written[0]
    assert compare([*sums, 0.5], [*written, 0.4]).verdict == "inconclusive"
    assert compare([*written, 0.4], [*sums, 0.5]).verdict == "inconclusive"


NINE = torch.tensor([0.9] * 5)
TIES = {
    "a sum": ([0.1 + 0.2] * 5, [0.3] * 5),
    "float32 and float64": (NINE, [0.9] * 5),
    "float32 in a list": ([*NINE], [0.9] * 5),
    "float32 of NumPy": (NINE.numpy(), np.full(5, 0.9)),
    "float32 of NumPy in a list": ([*NINE.numpy()], [0.9] * 5),
    "float16 and float32": (NINE.half(), NINE),
    "bfloat16 and float64": (NINE.bfloat16(), NINE.double()),
    "bfloat16 in a list": ([*NINE.bfloat16()], [0.9] * 5),
    "two kinds in a list": ([NINE[0].half(), *NINE[1:]], [0.9] * 5),
    "large": ([1e9 + 0.1 + 0.2] * 5, [1e9 + 0.3] * 5),
    "of either sign": ([-0.1 - 0.2, 0.1 + 0.2, -0.3, -0.3, -0.3], [-0.3, 0.3, -0.3, -0.3, -0.3]),
}


@pytest.mark.parametrize("name", TIES)
def test_values_that_differ_by_rounding_alone_are_inconclusive(name):
    a, b = TIES[name]
    assert compare(a, b).verdict == compare(b, a).verdict == "inconclusive"


@pytest.mark.parametrize(
    ("kind", "smallest"),
    [(torch.float64, 1e-14), (torch.float32, 1e-6), (torch.float16, 1e-2), (torch.bfloat16, 0.05)],
)
def test_what_the_dtype_can_tell_apart_gets_its_verdict(kind, smallest):
    a, b = torch.full((6,), 0.9, dtype=kind), torch.full((6,), 0.9 - smallest, dtype=kind)
    assert compare(a, b).verdict == compare(a.double(), b).verdict == "better"
    assert compare(b, a).verdict == "worse"
    assert compare(1e-8 * a.double(), 1e-8 * b.double()).verdict == "better"  # of any size


def test_equal_runs_are_inconclusive():
    result = compare([0.9, 0.8, 0.7, 0.9, 0.8], [0.9, 0.8, 0.7, 0.9, 0.8])
    assert (result.difference, result.low, result.high) == (0, 0, 0)
    assert result.verdict == "inconclusive"


@pytest.mark.parametrize(
    ("pairs", "verdict"), [(3, "inconclusive"), (4, "inconclusive"), (5, "better")]
)
def test_fewer_than_five_pairs_give_an_interval_but_no_verdict(pairs, verdict):
    result = compare([1.0, 1.1, 1.2, 1.3, 1.4][:pairs], [0.0] * pairs)
    assert result.low > 0
    assert result.verdict == verdict
    assert ("too few for a verdict" in str(result)) == (pairs < 5)


def test_the_seed_fixes_the_interval_and_the_global_generators_stay_untouched():
    a, b = normal(12, 0), normal(12, 1)
    state, torch_state = np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002
    assert compare(a, b) == compare(a, b)
    assert compare(a, b, seed=1).low != compare(a, b).low
    assert (np.random.get_state()[1] == state).all()  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), torch_state)


def test_lists_arrays_and_tensors_give_the_same():
    a, b = [1.0, 2.0, 4.0], [0.5, 2.5, 3.0]
    assert compare(a, b) == compare(np.array(a), torch.tensor(b))
    assert compare([torch.tensor(x) for x in a], torch.tensor(b, requires_grad=True)) == compare(
        a, b
    )


def test_higher_confidence_widens_the_interval():
    a, b = normal(10, 0), normal(10, 1)
    widths = [(r := compare(a, b, confidence=c)).high - r.low for c in (0.5, 0.8, 0.95, 0.99)]
    assert widths == sorted(set(widths))


# Without √(n/(n − 1)) it would be 0.904 for 5 and 0.934 for 10; with normal quantiles less still.
@pytest.mark.parametrize(("n", "stated"), [(3, 0.75), (5, 0.915), (10, 0.947)])
def test_coverage_is_what_the_docstring_says(n, stated):
    covered = []
    for seed in range(60):  # each block of 200 data sets shares its resamples
        rng = np.random.default_rng([n, seed])
        low, high = _interval(rng.normal(size=(200, n)), 0.95, 2000, rng)
        covered.append((low <= 0) & (high >= 0))
    assert abs(np.mean(covered) - stated) < 0.006


def test_many_comparisons_at_once_are_those_one_by_one():
    a, b = normal(30, 0).reshape(5, 6), normal(30, 1).reshape(5, 6)
    lows, highs = _interval(a - b, 0.9, 500, np.random.default_rng(0))
    for k in range(5):
        alone = compare(a[k], b[k], confidence=0.9, resamples=500)
        assert (alone.low, alone.high) == (lows[k], highs[k])


def test_resamples_drawn_in_blocks_are_those_drawn_at_once(monkeypatch):
    a, b = normal(7, 0), normal(7, 1)
    draws = np.random.default_rng(0).integers(7, size=(1000, 7))
    means = (a - b)[draws].mean(axis=1)
    at_once = compare(a, b, resamples=1000)
    assert means.min() <= at_once.low < at_once.high <= means.max()
    for numbers_at_once in (1, 50, 6999, 7000):
        monkeypatch.setattr(comparisons, "NUMBERS_AT_ONCE", numbers_at_once)
        assert compare(a, b, resamples=1000) == at_once


def test_the_memory_of_a_comparison_does_not_grow_with_its_resamples():
    a, b = normal(20_000, 0), normal(20_000, 1)
    compare(a, b, resamples=1)  # what it imports is not counted
    tracemalloc.start()
    compare(a, b, resamples=500)  # all at once: two arrays of 80 MB
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 30e6


def test_a_comparison_reads_as_one_line():
    line = str(Comparison(0.01234, -0.001, 0.0257, "inconclusive", 5, 0.95))
    assert line == "a − b = +0.01234 [-0.001, +0.0257] (95 % interval, 5 pairs): inconclusive"


@pytest.mark.parametrize(
    ("a", "b", "options", "error", "message"),
    [
        ([1.0], [2.0], {}, ValueError, "a single run is an anecdote"),
        ([1, 2], [3, 4], {}, ValueError, "at least 3 paired runs, got 2"),
        ([1, 2, 3], [1, 2], {}, ValueError, "got 3 and 2 values"),
        ([1, 2, math.nan], [1, 2, 3], {}, ValueError, "a must be finite"),
        ([1, 2, 3], [1, 2, math.inf], {}, ValueError, "b must be finite"),
        (["x", "y", "z"], [1, 2, 3], {}, TypeError, "a must be a flat sequence of numbers"),
        (1.0, 2.0, {}, TypeError, r"one per run, got float of shape \(\)"),
        (np.zeros((3, 2)), np.zeros((3, 2)), {}, TypeError, r"got ndarray of shape \(3, 2\)"),
        ([1, 2, 3], {"loss": 1}, {}, TypeError, "b must be a flat sequence.* got dict"),
        ([1, 2, 3], [1, 2, 3], {"confidence": 95}, ValueError, "confidence must lie .* got 95"),
        ([1, 2, 3], [1, 2, 3], {"resamples": 0}, ValueError, "resamples must be at least 1"),
        ([1, 2, 3], [1, 2, 3], {"resamples": 1e4}, TypeError, "resamples must be an integer"),
        ([1, 2, 3], [1, 2, 3], {"confidence": "95"}, TypeError, "confidence must be a number"),
    ],
)
def test_bad_comparisons_are_refused(a, b, options, error, message):
    with pytest.raises(error, match=message):
        compare(a, b, **options)
