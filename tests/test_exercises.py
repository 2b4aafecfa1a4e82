"""Every exercise against right answers, its known mistakes, and answers nobody foresaw."""

import math
import re
from inspect import signature
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.special import log_softmax as scipy_log_softmax
from torch.utils._pytree import tree_map

from l2g import check, losses
from l2g.exercises import registry

BOOK = Path(__file__).parents[1] / "book"
EXERCISES = registry()
# Those whose results are plain tensors, and three on which the wording of reports is tried.
TENSORS = [
    name
    for name, exercise in EXERCISES.items()
    if exercise.probe is None and isinstance(exercise.reference(*exercise.cases()[0]), torch.Tensor)
]
THREE = ["bias_and_variance", "cross_entropy_grad", "cross_entropy"]
MISTAKES = [(name, hint) for name, exercise in EXERCISES.items() for hint in exercise.mistakes]


def verdict(name, answer, capsys):
    check(name, answer)
    out = capsys.readouterr().out
    return out.startswith("✓"), out


def cells_tagged(page, tag):
    cells = re.findall(r"^```\{code-cell\} ipython3\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    for cell in cells:
        options = re.match(r"(?::.*\n|---\n(?:.*\n)*?---\n)*", cell).group()
        if re.search(rf"tags:.*\b{tag}\b", options):
            yield cell[len(options) :]


def answers_in_the_book(name, tag):
    """The functions that the chapter's cells with this tag define under the exercise's name."""
    reference = EXERCISES[name].reference
    number = reference.__module__.rpartition(".ch")[2]
    (chapter,) = BOOK.glob(f"{number}_*.md")
    answers = []
    for source in cells_tagged(chapter.read_text(encoding="utf-8"), tag):
        if f"def {reference.__name__}(" in source:
            namespace = {"torch": torch, "F": F, "check": lambda *_: None}
            namespace["solution"] = lambda _: lambda function: function
            exec(source, namespace)
            answers.append(namespace[reference.__name__])
    return answers


def test_chapter_6_has_its_exercises():
    assert {"log_softmax", "cross_entropy_grad", "cross_entropy"} <= set(EXERCISES)


@pytest.mark.parametrize("name", EXERCISES)
def test_the_reference_passes(name, capsys):
    n_tests = len(EXERCISES[name].cases())
    out = (True, f"✓ {name}: passed {n_tests} tests\n")
    assert verdict(name, EXERCISES[name].reference, capsys) == out


@pytest.mark.parametrize("name", EXERCISES)
def test_the_official_solution_passes(name, capsys):
    answers = answers_in_the_book(name, "solution")
    assert answers, "the chapter holds no cell tagged `solution` that defines it"
    for answer in answers:
        passed, out = verdict(name, answer, capsys)
        assert passed, out


@pytest.mark.parametrize("name", EXERCISES)
def test_the_stub_in_the_book_is_not_started(name, capsys):
    answers = answers_in_the_book(name, "stub")
    assert answers, "the chapter holds no cell tagged `stub` that defines it"
    for answer in answers:
        passed, out = verdict(name, answer, capsys)
        assert not passed
        assert out.startswith(f"○ {name}: not started yet")


@pytest.mark.parametrize("name", EXERCISES)
def test_cases_are_many_and_the_same_every_time(name):
    first, second = EXERCISES[name].cases(), EXERCISES[name].cases()
    assert len(first) >= EXERCISES[name].random_cases > 0
    for one, other in zip(first, second, strict=True):
        assert repr(one) == repr(other)


@pytest.mark.parametrize("name", EXERCISES)
def test_there_are_at_least_five_known_mistakes(name):
    hints = list(EXERCISES[name].mistakes)
    assert len(hints) >= 5
    for hint in hints:  # none is part of another, so a report names one of them at most
        assert [other for other in hints if hint in other] == [hint]


@pytest.mark.parametrize(("name", "hint"), MISTAKES)
def test_a_known_mistake_gets_its_own_hint(name, hint, capsys):
    passed, out = verdict(name, EXERCISES[name].mistakes[hint], capsys)
    assert not passed
    assert out.startswith(f"✗ {name}: wrong in ")
    assert [known for known in EXERCISES[name].mistakes if known in out] == [hint]
    assert "smallest counterexample" in out
    assert "    expected = " in out


def shifted(z):
    return z - z.max(-1, keepdim=True).values


def onehot(z, y):
    return (torch.arange(z.shape[1]) == y[:, None]).to(z.dtype)


def true(rows, y):
    return rows[torch.arange(len(y)), y]


RIGHT = [
    ("cross_entropy_grad", lambda z, y: (F.log_softmax(z, 1).exp() - onehot(z, y)) / z.shape[0]),
    ("log_softmax", lambda z: z.numpy() - np.logaddexp.reduce(z.numpy(), 1)[:, None]),
    (
        "cross_entropy",
        lambda z, y: np.mean([stable(r) - r[k] for r, k in zip(z.tolist(), y, strict=True)]),
    ),
    ("cross_entropy", lambda z, y: (shifted(z).exp().sum(1).log() - true(shifted(z), y)).mean()),
    (
        "reported_accuracy",
        lambda v, t: torch.stack([b[a.argmin()] for a, b in zip(v, t, strict=True)]),
    ),
    ("reported_accuracy", lambda v, t: (b[a.argmin()] for a, b in zip(v, t, strict=True))),
    ("reported_accuracy", lambda v, t: t.numpy()[np.arange(len(v)), v.numpy().argmin(1)]),
    ("descent_limit", lambda x, y, w: w + torch.linalg.pinv(x) @ (y - x @ w)),
    ("descent_limit", lambda x, y, w: w + torch.linalg.lstsq(x, y - x @ w).solution),
    ("gap_and_error", lambda s, n: (float(n.mean() - s.mean()), n.std().item() / len(n) ** 0.5)),
    ("bias_and_variance", lambda p, t: [(p.mean(0) - t) ** 2, (p**2).mean(0) - p.mean(0) ** 2]),
    (
        "corrected_bias2",
        lambda p, t: (p.mean(0) - t).numpy() ** 2 - p.numpy().var(0, ddof=1) / len(p),
    ),
]


@pytest.mark.parametrize(("name", "answer"), RIGHT)
def test_other_right_answers_pass(name, answer, capsys):
    passed, out = verdict(name, answer, capsys)
    assert passed, out


def test_gradient_descent_itself_ends_where_the_exercise_says(capsys):
    """Chapter 2: a learner who lets it run is right, to the three digits that are asked for."""

    def descend(features, targets, start):
        w = start.clone()
        for _ in range(400):
            w -= 0.1 * 2 * features.T @ (features @ w - targets)
        return w

    passed, out = verdict("descent_limit", descend, capsys)
    assert passed, out


def test_a_variance_may_be_what_is_left_of_the_whole(capsys):
    """Chapter 2: total minus within, a difference of two nearly equal numbers."""

    def answer(predictions):
        p = predictions.numpy()
        total = (p**2).mean((0, 1)) - p.mean((0, 1)) ** 2
        seeds = ((p**2).mean(1) - p.mean(1) ** 2).mean(0)
        return np.array([total - seeds, seeds])

    passed, out = verdict("split_variance", answer, capsys)
    assert passed, out


FORMS = {
    "lists": lambda value: value.tolist(),
    "tuples of rows": lambda value: tuple(value) if value.ndim else value.item(),
    "NumPy": lambda value: value.numpy(),
    "single precision": lambda value: value.float(),
    "NumPy, single precision": lambda value: value.numpy().astype(np.float32),
    "a generator": lambda value: (row for row in value) if value.ndim else value.numpy()[()],
    "with a gradient": lambda value: value.requires_grad_(),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", TENSORS)
def test_a_right_answer_may_come_in_any_form(name, form, capsys):
    exercise = EXERCISES[name]
    passed, out = verdict(name, lambda *inputs: FORMS[form](exercise.reference(*inputs)), capsys)
    assert passed, out


def single(x):
    return x.float() if isinstance(x, torch.Tensor) and x.is_floating_point() else x


@pytest.mark.parametrize("name", TENSORS)
def test_a_right_answer_may_be_computed_in_single_precision(name, capsys):
    exercise = EXERCISES[name]
    # A `map` of our own would count as a loop in the exercises that forbid one.
    passed, out = verdict(name, lambda *x: exercise.reference(*tree_map(single, x)), capsys)
    assert passed, out


def autograd(logits, targets):
    logits.requires_grad_()
    F.cross_entropy(logits, targets).backward()
    return logits.grad


def log_softmax_of_the_chapter(logits):
    exponents = logits - logits.amax(-1, keepdim=True)
    return exponents - exponents.exp().sum(-1, keepdim=True).log()


CHEATS = [
    ("log_softmax", log_softmax_of_the_chapter, "it uses `amax`"),
    ("log_softmax", lambda z: log_softmax_of_the_chapter(z), "it uses `amax`"),
    ("log_softmax", losses.log_softmax, "it uses `amax`"),
    ("log_softmax", lambda z: z - torch.logsumexp(z, 1, keepdim=True), "it uses `logsumexp`"),
    ("log_softmax", lambda z: torch.special.log_softmax(z, 1), "it uses `log_softmax`"),
    ("log_softmax", torch.nn.LogSoftmax(1), "it uses `log_softmax`"),
    ("log_softmax", lambda z: scipy_log_softmax(z.numpy(), 1), "it uses `log_softmax`"),
    ("log_softmax", lambda z: [[v - stable(row) for v in row] for row in z.tolist()], "`exp`"),
    ("cross_entropy_grad", autograd, "it lets autograd find the gradient"),
    (
        "cross_entropy_grad",
        lambda z, y: torch.func.grad(lambda logits: F.cross_entropy(logits, y))(z),
        "it lets autograd find the gradient",
    ),
    ("cross_entropy", F.cross_entropy, "it uses `cross_entropy`"),
    ("cross_entropy", lambda z, y: -true(z.log_softmax(1), y).mean(), "it uses `log_softmax`"),
    ("cross_entropy", lambda z, y: (z.logsumexp(1) - true(z, y)).mean(), "it uses `logsumexp`"),
]


def stable(row):
    top = sorted(row)[-1]
    return top + math.log(sum(math.exp(v - top) for v in row))


@pytest.mark.parametrize(("name", "answer", "sentence"), CHEATS)
def test_what_an_exercise_forbids_is_named(name, answer, sentence, capsys):
    passed, out = verdict(name, answer, capsys)
    assert not passed
    assert out.startswith(f"✗ {name}: the values are right, but it ")
    assert sentence in out
    assert out.count("\n") == 1  # a sentence, and no counterexample


def test_a_wrong_answer_hears_of_the_rule_as_well(capsys):
    out = verdict("log_softmax", lambda z: z.softmax(1), capsys)[1]
    assert "hint: these are probabilities" in out
    assert out.endswith("`torch.logaddexp` is all it takes\n")
    assert "\n  and it uses `softmax`" in out


def test_an_answer_may_spoil_its_inputs(capsys):
    def in_place(logits):
        total = logits[:, 0].clone()
        for column in logits.unbind(1)[1:]:
            total = torch.logaddexp(total, column)
        return logits.sub_(total[:, None])

    assert verdict("log_softmax", in_place, capsys)[0]
    wrong = verdict("log_softmax", lambda z: z.zero_(), capsys)[1]
    assert "logits   = tensor([[1000, 0]])" in wrong or "logits   = tensor([[0, 0]])" in wrong


SAME_MISTAKE = [
    # The same slips in other words, as a learner may write them, and a piece of the hint.
    ("log_softmax", lambda z: z - torch.log(torch.exp(z).sum(1)[:, None]), "what is exp(1000)"),
    ("log_softmax", lambda z: torch.log(F.softmax(z, dim=1)), "underflows to 0 has the log −inf"),
    ("log_softmax", lambda z: shifted(z) - shifted(z).exp().mean(1, True).log(), "off by ln K"),
    ("log_softmax", lambda z: (z - z.max()).log_softmax(0), "these columns sum to 1"),
    ("cross_entropy_grad", lambda z, y: z.softmax(1) - onehot(z, y), "the size is not"),
    ("cross_entropy_grad", lambda z, y: (onehot(z, y) - z.softmax(1)) / len(y), "sign is turned"),
    ("cross_entropy_grad", lambda z, y: z.softmax(1) / len(y), "the targets play no part"),
    ("cross_entropy", lambda z, y: (z.exp().sum(1).log() - true(z, y)).mean(), "exp(1000)"),
    ("cross_entropy", lambda z, y: -true(z.softmax(1), y).mean(), "the logarithm is missing"),
    ("cross_entropy", lambda z, y: -true(z.log_softmax(1), y).sum(), "the mean is asked for"),
]


@pytest.mark.parametrize(("name", "answer", "hint"), SAME_MISTAKE)
def test_a_slip_is_known_in_other_words(name, answer, hint, capsys):
    passed, out = verdict(name, answer, capsys)
    assert not passed
    assert hint in out


UNFORESEEN = [
    (lambda right: right.double() * (1 + 1e-4), "close, but right to about 4 digits only"),
    (lambda right: right * 3, "every entry is 3 times what it should be"),
    (lambda right: right * -0.5, "every entry is -0.5 times what it should be"),
    (lambda right: right[None], "the result has shape"),
    (lambda right: right.sum() if right.ndim else right.view(1, 1), "the result has shape"),
    (lambda right: right.half(), "the result is torch.float16, with too few digits"),
    (lambda right: "right", "yours is text"),
    (lambda right: [1, [2, 3]], "yours is a list of 2 parts that differ in shape or kind"),
    (lambda right: {"right": right}, "yours is a dictionary"),
    (lambda right: right / 0, "NaN or infinity for finite inputs"),
]


@pytest.mark.parametrize("name", THREE)
@pytest.mark.parametrize(("spoil", "hint"), UNFORESEEN)
def test_unforeseen_wrong_answers_get_a_sensible_hint(name, spoil, hint, capsys):
    reference = EXERCISES[name].reference
    passed, out = verdict(name, lambda *inputs: spoil(reference(*inputs)), capsys)
    assert not passed
    assert hint in out
    assert "smallest counterexample" in out


def test_a_wrong_answer_that_is_like_no_known_mistake_is_told_so(capsys):
    out = verdict("log_softmax", lambda z: F.log_softmax(z, 1).roll(1, 1) ** 2, capsys)[1]
    assert "it differs here, and it is none of the mistakes that this exercise knows" in out


def test_the_counterexample_shows_what_the_hint_is_about(capsys):
    """Chapter 2: a descent that diverges in some cases only is not shown where it converges."""

    def too_fast(features, targets, start):
        w = start.clone()
        for _ in range(3000):
            w -= 0.7 * 2 * features.T @ (features @ w - targets)
        return w

    out = verdict("descent_limit", too_fast, capsys)[1]
    assert "NaN or infinity for finite inputs: which step grows without bound" in out
    assert re.search(r"got      = tensor\(\[.*(inf|nan)", out)


@pytest.mark.parametrize("name", TENSORS)
def test_got_and_expected_never_print_alike(name, capsys):
    """Errors of all sizes, in one random entry: what is refused looks different."""
    exercise, refused = EXERCISES[name], 0
    for size in (2, 5, 8, 11, 13, 16):
        generator = torch.Generator().manual_seed(size)

        def answer(*inputs, size=size, generator=generator):
            right = exercise.reference(*inputs)
            k = torch.randint(right.numel(), (), generator=generator)
            right.view(-1)[k] += 10.0**-size * (1 + right.view(-1)[k].abs())
            return right

        passed, out = verdict(name, answer, capsys)
        if not passed:
            refused += 1
            got, expected = re.search(r"got      = (.*)\n +expected = (.*)\n", out).groups()
            assert got != expected
    assert refused


def test_an_answer_that_is_mostly_right_is_told_so(capsys):
    out = verdict("log_softmax", lambda z: F.log_softmax(z, 1) + (z.abs().max() > 500), capsys)[1]
    assert "most tests pass: what sets the inputs that fail apart" in out


def test_a_transposed_result_is_recognized(capsys):
    out = verdict("log_softmax", lambda z: F.log_softmax(z, 1).T, capsys)[1]
    assert "are rows and columns exchanged?" in out


def test_the_counterexample_is_the_smallest_one(capsys):
    out = verdict("log_softmax", lambda z: F.log_softmax(z, 1) + (z.shape[1] > 3), capsys)[1]
    assert re.search(r"logits   = .*\(shape \(1, 4\), float(64|32)\)", out)


def index_error(*inputs):
    return inputs[0][99]


def value_error(*inputs):
    message = "first line\nsecond line"
    raise ValueError(message)


def in_torch(*inputs):
    return F.softmax(inputs[0], dim=7)


@pytest.mark.parametrize("name", THREE)
@pytest.mark.parametrize(
    ("answer", "error", "line"),
    [
        (index_error, "IndexError", "return inputs[0][99]"),
        (value_error, "ValueError: first line\n", "raise ValueError(message)"),
        (in_torch, "IndexError: Dimension out of range", "return F.softmax(inputs[0], dim=7)"),
        (lambda: None, "TypeError", "it is called as"),
    ],
)
def test_exceptions_are_caught_and_located(name, answer, error, line, capsys):
    passed, out = verdict(name, answer, capsys)
    assert not passed
    assert out.startswith(f"✗ {name}: your code raised {error}")
    assert line in out
    assert "second line" not in out
    first_argument = next(iter(signature(EXERCISES[name].reference).parameters))
    assert f"{first_argument:<8} = tensor(" in out


def raises(*inputs):
    raise NotImplementedError("your turn")


def ellipsis(*inputs):
    return ...


def nothing(*inputs):
    pass


@pytest.mark.parametrize("name", THREE)
@pytest.mark.parametrize("stub", [raises, ellipsis, nothing, None, ...])
def test_an_untouched_stub_is_not_started(name, stub, capsys):
    passed, out = verdict(name, stub, capsys)
    assert not passed
    assert out.startswith(f"○ {name}: not started yet")
    assert out.endswith("not started yet\n")


def test_a_forgotten_return_is_guessed(capsys):
    def forgetful(logits):
        F.log_softmax(logits, dim=-1)

    passed, out = verdict("log_softmax", forgetful, capsys)
    assert not passed
    assert out == "○ log_softmax: not started yet, or its `return` is missing: it gives None\n"


def test_an_operation_that_torch_lacks_is_no_stub(capsys):
    passed, out = verdict("log_softmax", lambda z: torch.linalg.qr(z.half()).Q, capsys)
    assert not passed
    assert out.startswith("✗ log_softmax: your code raised NotImplementedError")


def test_a_return_missing_in_one_branch_is_no_stub(capsys):
    def answer(logits):
        if len(logits) > 1:
            return F.log_softmax(logits, dim=-1)

    passed, out = verdict("log_softmax", answer, capsys)
    assert not passed
    assert "the result is None: does every branch of the function return something?" in out


@pytest.mark.parametrize("answer", [3, torch.zeros(2), "log_softmax"])
def test_what_is_no_function_is_named(answer, capsys):
    passed, out = verdict("log_softmax", answer, capsys)
    assert not passed
    assert out == f"✗ log_softmax: pass a function, got {type(answer).__name__}\n"
