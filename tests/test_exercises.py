"""Every exercise against right answers, its known mistakes, and answers nobody foresaw."""

import re
from inspect import signature
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from l2g import check
from l2g.exercises import registry

BOOK = Path(__file__).parents[1] / "book"
CHAPTERS = {f"ch{path.name[:2]}": path for path in BOOK.glob("[0-9][0-9]_*.md")}
EXERCISES = registry()
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
    chapter = CHAPTERS[reference.__module__.rpartition(".")[2]]
    answers = []
    for source in cells_tagged(chapter.read_text(encoding="utf-8"), tag):
        if f"def {reference.__name__}(" in source:
            namespace = {"torch": torch, "F": F, "check": lambda *_: None}
            exec(source, namespace)
            answers.append(namespace[reference.__name__])
    return answers


def test_chapter_6_has_its_exercises():
    assert {"log_softmax", "cross_entropy_grad", "lse_identity"} <= set(EXERCISES)


@pytest.mark.parametrize("name", EXERCISES)
def test_the_reference_passes(name, capsys):
    n_tests = len(EXERCISES[name].cases())
    out = (True, f"✓ {name}: passed {n_tests} random tests\n")
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
def test_cases_are_many_varied_and_the_same_every_time(name):
    first, second = EXERCISES[name].cases(), EXERCISES[name].cases()
    assert len(first) >= 40
    for one, other in zip(first, second, strict=True):
        assert repr(one) == repr(other)
    tensors = [case[0] for case in first]
    assert {z.dtype for z in tensors} == {torch.float32, torch.float64}
    assert any(z.abs().max() >= 1000 for z in tensors)
    assert any(z.shape[-1] == 2 for z in tensors)


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
    assert "expected = tensor(" in out


def shifted(z):
    return z - z.max(-1, keepdim=True).values


def onehot(z, y):
    return (torch.arange(z.shape[1]) == y[:, None]).to(z.dtype)


RIGHT = [
    ("log_softmax", lambda z: z - torch.logsumexp(z, 1, keepdim=True)),
    ("log_softmax", lambda z: shifted(z) - shifted(z).exp().sum(-1, keepdim=True).log()),
    ("log_softmax", lambda z: torch.stack([F.log_softmax(row, 0) for row in z])),
    ("cross_entropy_grad", lambda z, y: (F.log_softmax(z, 1).exp() - onehot(z, y)) / z.shape[0]),
    ("lse_identity", lambda z, i: F.softmax(z, 0)[i]),
    ("pick_epoch", lambda v, t: torch.stack([b[a.argmin()] for a, b in zip(v, t, strict=True)])),
    ("descent_limit", lambda x, y, w: w + torch.linalg.pinv(x) @ (y - x @ w)),
    ("descent_limit", lambda x, y, w: w + torch.linalg.lstsq(x, y - x @ w).solution),
]


@pytest.mark.parametrize(("name", "answer"), RIGHT)
def test_other_right_answers_pass(name, answer, capsys):
    passed, out = verdict(name, answer, capsys)
    assert passed, out


def test_an_answer_through_autograd_passes(capsys):
    def answer(logits, targets):
        logits.requires_grad_()
        F.cross_entropy(logits, targets).backward()
        return logits.grad

    assert verdict("cross_entropy_grad", answer, capsys)[0]


def test_an_answer_may_spoil_its_inputs(capsys):
    def in_place(logits):
        logits -= logits.max(-1, keepdim=True).values
        return logits.sub_(logits.exp().sum(-1, keepdim=True).log())

    assert verdict("log_softmax", in_place, capsys)[0]
    wrong = verdict("log_softmax", lambda z: z.zero_(), capsys)[1]
    assert "logits   = tensor([[1., 2., 3.]]" in wrong or "logits   = tensor([[0., 0.]]" in wrong


SAME_MISTAKE = [
    # The same slips in other words, as a learner may write them, and a piece of the hint.
    ("log_softmax", lambda z: z - torch.log(torch.exp(z).sum(1)[:, None]), "what is exp(1000)"),
    ("log_softmax", lambda z: torch.log(F.softmax(z, dim=1)), "underflows to 0 has the log −inf"),
    ("log_softmax", lambda z: shifted(z) - shifted(z).exp().mean(1, True).log(), "off by ln K"),
    ("log_softmax", lambda z: (z - z.max()).log_softmax(0), "these columns sum to 1"),
    ("cross_entropy_grad", lambda z, y: z.softmax(1) - onehot(z, y), "the size is not"),
    ("cross_entropy_grad", lambda z, y: (onehot(z, y) - z.softmax(1)) / len(y), "sign is turned"),
    ("cross_entropy_grad", lambda z, y: z.softmax(1) / len(y), "the targets play no part"),
    (
        "lse_identity",
        lambda z, i: (
            sum(torch.sigmoid(z[i] - z[j]) for j in range(len(z)) if j != i) / (len(z) - 1)
        ),
        "an average of two-class",
    ),
    ("lse_identity", lambda z, i: (z.exp() / z.exp().sum())[i], "inf/inf or 0/0"),
]


@pytest.mark.parametrize(("name", "answer", "hint"), SAME_MISTAKE)
def test_a_slip_is_known_in_other_words(name, answer, hint, capsys):
    passed, out = verdict(name, answer, capsys)
    assert not passed
    assert hint in out


UNFORESEEN = [
    (lambda right: right + 1e-3, "work the counterexample out by hand"),
    (lambda right: right * 3, "every entry is 3 times what it should be"),
    (lambda right: right * -0.5, "every entry is -0.5 times what it should be"),
    (lambda right: right[None], "the result has shape"),
    (lambda right: right.sum() if right.ndim else right.view(1, 1), "the result has shape"),
    (lambda right: right.half(), "the result is torch.float16; keep the dtype of the inputs"),
    (lambda right: right.double().numpy(), "return a torch.Tensor; yours returns numpy."),
    (lambda right: right.tolist(), "return a torch.Tensor; yours returns builtins."),
    (lambda right: right / 0, "NaN or infinity for finite inputs"),
]


@pytest.mark.parametrize("name", EXERCISES)
@pytest.mark.parametrize(("spoil", "hint"), UNFORESEEN)
def test_unforeseen_wrong_answers_get_a_sensible_hint(name, spoil, hint, capsys):
    reference = EXERCISES[name].reference
    passed, out = verdict(name, lambda *inputs: spoil(reference(*inputs)), capsys)
    assert not passed
    assert hint in out
    assert "smallest counterexample" in out


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


@pytest.mark.parametrize("name", EXERCISES)
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


@pytest.mark.parametrize("name", EXERCISES)
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
    assert "return a torch.Tensor; yours returns builtins.NoneType" in out


@pytest.mark.parametrize("answer", [3, torch.zeros(2), "log_softmax"])
def test_what_is_no_function_is_named(answer, capsys):
    passed, out = verdict("log_softmax", answer, capsys)
    assert not passed
    assert out == f"✗ log_softmax: pass a function, got {type(answer).__name__}\n"
