"""claim, answer and verdict in words and units: what is shown, what is kept, what is refused."""

import html
import json
import math
import re
from types import SimpleNamespace

import docutils.utils
import nbformat
import numpy as np
import pytest
import torch
from docutils import nodes
from l2g_book import counts, ledger, misconceptions
from nbclient import NotebookClient

from l2g.evidence import ClaimError, Comparison, answer, claim, verdict
from l2g.evidence.claims import JUDGEMENTS, marked, unmarked
from l2g.evidence.words import UNITS, fill

GAIN = Comparison(0.0124, 0.0041, 0.0203, "better", 5, 0.95)
LOSS = Comparison(-0.0124, -0.0203, 0.0041, "inconclusive", 5, 0.95)


def said(capsys) -> str:
    return capsys.readouterr().out.replace("\N{NO-BREAK SPACE}", " ").rstrip("\n")


def filled(spec: str, value) -> str:
    text = fill(f"{{x:{spec}}}" if spec else "{x}", {"x": value})
    return text.replace("\N{NO-BREAK SPACE}", " ")


@pytest.mark.parametrize(
    ("spec", "value", "shown"),
    [
        ("percent", 0.91487, "91.5 %"),
        ("percent", 1, "100 %"),
        ("percent", 0.0, "0 %"),
        ("percent", 0.99996, "99.996 %"),  # not all of them
        ("percent", 0.00031, "0.031 %"),  # not none
        ("percent .0", 0.1, "10 %"),
        ("points", 0.012, "+1.2 points"),
        ("points", -0.003, "−0.3 points"),
        ("points size", -0.003, "0.3 points"),
        ("points", 0.0, "0 points"),
        ("nats", math.log(10), "2.30 nats"),
        ("nats", 0.0312, "0.031 nats"),
        ("nats", -0.25, "−0.250 nats"),
        ("nats signed", 0.25, "+0.250 nats"),
        ("nats", 3e-7, "3.0e-7 nats"),
        ("count", 44548, "44,548"),
        ("count", 3.0, "3"),
        ("count", 16.333, "16.3"),
        ("times", 3.217, "3.2 times"),
        ("times", 129.7, "130 times"),
        ("below", 4.163e-17, "below 1e-16"),
        ("below", -4.163e-17, "below 1e-16"),
        ("below", 1e-12, "below 1e-11"),
        ("below", 0.03, "below 0.1"),
        ("below", 250.0, "below 1,000"),
        ("below", 0.0, "0"),
        ("", 0.1, "0.1"),
        ("", 1 / 3, "0.333"),
        ("", 1234.5, "1,234"),
        ("", 4e-9, "4.00e-9"),
        ("", 7, "7"),
        ("", "Adam", "Adam"),
        (".3f", -0.5, "−0.500"),
        ("+.1f", 2.25, "+2.2"),
        ("percent", math.nan, "NaN %"),
        ("nats", -math.inf, "−∞ nats"),
    ],
)
def test_a_value_in_words_and_units(spec, value, shown):
    assert filled(spec, value) == shown


RUNS = [0.908, 0.915, 0.9213, 0.9]


@pytest.mark.parametrize(
    ("spec", "shown"),
    [
        ("percent", "91.1 %"),
        ("percent mean", "91.1 %"),
        ("percent median", "91.1 %"),
        ("percent lowest", "90.0 %"),
        ("percent highest", "92.1 %"),
        ("percent range", "90.0 to 92.1 %"),
        ("percent range .0", "90 to 92 %"),
        ("percent each", "90.8, 91.5, 92.1 and 90.0 %"),
        (".2f", "0.91"),
        ("below", "below 1"),
    ],
)
def test_several_runs(spec, shown):
    assert filled(spec, RUNS) == shown


def test_a_range_of_equal_ends_is_one_number():
    assert filled("percent range", [1.0, 1.0, 1.0]) == "100 %"
    assert filled("count range", [14, 19, 16]) == "14 to 19"
    assert filled("points range", [0.01, -0.02]) == "−2.0 to +1.0 points"


@pytest.mark.parametrize(
    ("spec", "gain", "loss"),
    [
        ("points", "+1.2 points [0.4, 2.0]", "−1.2 points [−2.0, 0.4]"),
        ("points size", "1.2 points [0.4, 2.0]", "1.2 points [−0.4, 2.0]"),
        ("points mean", "+1.2 points", "−1.2 points"),
        ("points lowest", "+0.4 points", "−2.0 points"),
        ("points highest", "+2.0 points", "+0.4 points"),
        ("points range", "+0.4 to +2.0 points", "−2.0 to +0.4 points"),
        ("nats", "+0.012 nats [0.0041, 0.020]", "−0.012 nats [−0.020, 0.0041]"),
        (".3f", "0.012", "−0.012"),
    ],
)
def test_a_comparison_shows_its_difference_and_its_interval(spec, gain, loss):
    assert (filled(spec, GAIN), filled(spec, LOSS)) == (gain, loss)


@pytest.mark.parametrize("difference", [1e-8, -1e-8, 0.0])
def test_a_difference_far_below_its_interval_has_as_many_decimals_as_the_interval(difference):
    found = Comparison(difference, -0.0074, 0.0091, "inconclusive", 6, 0.95)
    assert filled("points", found) == "0.0 points [−0.7, 0.9]"
    small = Comparison(0.0004, -0.0074, 0.0091, "inconclusive", 6, 0.95)
    assert filled("points", small) == "+0.040 points [−0.7, 0.9]"


@pytest.mark.parametrize("runs", [RUNS, tuple(RUNS), np.array(RUNS), torch.tensor(RUNS)])
def test_runs_may_be_lists_arrays_or_tensors(runs, capsys):
    claim("it ends at {runs:percent range}", True, runs=runs)
    assert said(capsys) == "✓ it ends at 90.0 to 92.1 %"


@pytest.mark.parametrize(
    "one", [0.25, np.float32(0.25), torch.tensor(0.25), torch.tensor([[0.25]]), np.array([0.25])]
)
def test_one_number_may_come_in_any_form(one, capsys):
    claim("a quarter is {one:percent}", True, one=one)
    assert said(capsys) == "✓ a quarter is 25.0 %"


def test_any_name_can_be_that_of_a_value(capsys):
    claim(
        "{sentence} {holds} {value} {values} {kind}",
        True,
        sentence=1,
        holds=2,
        value=3,
        values=4,
        kind=5,
    )
    verdict("b", "right", "{belief} {judgement}", True, belief=1, judgement=2)
    answer("p", "{prediction}", True, prediction=1)
    assert said(capsys) == "✓ 1 2 3 4 5\n✓ Verdict: right. 1 2\n✓ Answer: 1"


def test_a_false_claim_says_its_sentence_with_its_numbers(capsys):
    with pytest.raises(ClaimError) as caught:
        claim("*Adam* ends at {loss:nats}, `SGD` at {other:nats}.", False, loss=0.31, other=0.29)
    text = str(caught.value).replace("\N{NO-BREAK SPACE}", " ")
    assert text == "this does not hold: Adam ends at 0.310 nats, SGD at 0.290 nats."
    with pytest.raises(ClaimError, match="this does not hold: so it is"):
        answer("guess", "so it is", False)
    with pytest.raises(ClaimError, match="this does not hold: so it is"):
        verdict("guess", "wrong", "so it is", False)
    assert said(capsys) == ""


def test_where_seeds_are_varied_a_false_claim_is_shown_as_false(monkeypatch, capsys):
    monkeypatch.setenv("L2G_RECORD_CLAIMS", "1")
    claim("it ends at {loss:nats}", False, loss=0.31)
    claim("another", True)
    assert said(capsys) == "✗ it ends at 0.310 nats\n✓ another"


@pytest.mark.parametrize(
    ("sentence", "values", "message"),
    [
        ("at {x:pct}", {"x": 1.0}, r"the field \{x:pct\}: 'pct' is neither a unit \(percent, "),
        ("at {x:percent least}", {"x": 1.0}, "after a unit stand mean, .*, got 'least'"),
        ("at {x}", {}, r"the sentence names \{x\}, but no value is given: 'at \{x\}'"),
        ("at {x}", {"y": 1, "z": 2}, "names {x}, but values are given for y, z"),
        ("at {x}", {"x": 1, "y": 2}, r"the sentence has no field for y: 'at \{x\}'"),
        ("at {x", {"x": 1}, r"a field is \{name\} or .*expected '}' before end of string"),
        ("at {}", {"x": 1}, r"a field is \{name\} or \{name:unit\}, got \{\}"),
        ("at {x.low}", {"x": 1}, r"a field is .*, got \{x.low\}"),
        ("at {x!r}", {"x": 1}, "a field is"),
        ("at {x:percent}", {"x": "all"}, "a string has neither unit nor format, got 'all'"),
        ("at {x:points median}", {"x": GAIN}, "a comparison shows its mean"),
        ("at {x:below}", {"x": GAIN}, "a comparison shows its mean"),
    ],
)
def test_a_sentence_that_cannot_be_filled_is_refused(sentence, values, message, capsys):
    with pytest.raises(ValueError, match=message) as caught:
        claim(sentence, True, **values)
    assert "\n" not in str(caught.value)
    assert said(capsys) == ""


@pytest.mark.parametrize(
    "value", [None, 1j, [], ["a"], [[1]], torch.zeros(2, 2), {"a": 1}, GAIN.__class__]
)
def test_what_is_no_measurement_is_refused(value):
    with pytest.raises(TypeError, match="acc must be a number, a string, one number per run or a"):
        claim("at {acc}", True, acc=value)


def test_a_judgement_is_one_of_five():
    for judgement in JUDGEMENTS:
        verdict("b", judgement, "so", True)
    with pytest.raises(ValueError, match=r"judgement must be one of right, .*; got 'true'"):
        verdict("b", "true", "so", True)


@pytest.mark.parametrize("name", ["", "  ", None, 3])
def test_a_prediction_and_a_belief_have_names(name):
    with pytest.raises(TypeError, match="prediction must be the name of a prediction"):
        answer(name, "so", True)
    with pytest.raises(TypeError, match="belief must be the name of a belief"):
        verdict(name, "right", "so", True)


def test_braces_in_the_text_are_doubled(capsys):
    claim("the set {{0, 1}} has {n:count} members", True, n=2)
    assert said(capsys) == "✓ the set {0, 1} has 2 members"


@pytest.mark.parametrize(
    ("text", "page", "plain"),
    [
        ("*a* b", "<em>a</em> b", "a b"),
        ("**a b** c", "<b>a b</b> c", "a b c"),
        ("`a*b*c` < 1", "<code>a*b*c</code> &lt; 1", "a*b*c < 1"),
        ("2*3 and 4*5", "2*3 and 4*5", "2*3 and 4*5"),
        ("a * b * c", "a * b * c", "a * b * c"),
        ("$p_i*q*1$ < *1*", "$p_i*q*1$ &lt; <em>1</em>", "p_i*q*1 < 1"),
        ("*<b>*", "<em>&lt;b&gt;</em>", "<b>"),
    ],
)
def test_marks_become_elements_or_vanish(text, page, plain):
    assert (marked(text), unmarked(text)) == (page, plain)


def test_every_unit_is_described():
    from l2g.evidence import words

    assert all(f"`{unit}`" in words.__doc__ for unit in UNITS)


@pytest.fixture(scope="module")
def outputs():
    cells = [
        "import torch\nfrom l2g import answer, claim, compare, verdict\n"
        "gain = compare([0.92, 0.93, 0.94], [0.91, 0.92, 0.93])",
        "claim('*At* {acc:percent} & {gain:points mean}', True, gain=gain,\n"
        "      acc=torch.tensor([0.5, 0.75, float('inf')]))",
        "answer('gap', 'it is {gap:points}', True, gap=0.026)",
        "verdict('scale', 'half true', 'it is so', True)",
        "import os; os.environ['L2G_RECORD_CLAIMS'] = '1'\nclaim('never', False)",
    ]
    cells = [nbformat.v4.new_code_cell(source) for source in cells]
    notebook = nbformat.v4.new_notebook(cells=cells)
    NotebookClient(notebook, timeout=60, extra_arguments=["--log-level=40"]).execute()
    return [output for cell in notebook.cells for output in cell.outputs]


def record(output) -> dict:
    return json.loads(html.unescape(re.search('data-claim="([^"]*)"', output.data["text/html"])[1]))


def test_a_record_keeps_the_template_and_the_raw_numbers(outputs):
    kept = record(outputs[0])
    assert list(kept) == ["kind", "template", "sentence", "values"]
    assert kept["kind"] == "claim"
    assert kept["template"] == "*At* {acc:percent} & {gain:points mean}"
    assert kept["sentence"].replace("\N{NO-BREAK SPACE}", " ") == "*At* ∞ % & +1.0 points"
    assert kept["values"]["acc"] == [0.5, 0.75, "inf"]
    assert kept["values"]["gain"]["pairs"] == 3
    assert kept["values"]["gain"]["difference"] == pytest.approx(0.01)
    assert "<em>At</em>" in outputs[0].data["text/html"]
    assert outputs[0].data["text/plain"].startswith("✓ At ∞")


def test_answers_and_verdicts_say_whose_they_are(outputs):
    first, second = map(record, outputs[1:3])
    assert (first["kind"], first["of"], first["values"]) == ("answer", "gap", {"gap": 0.026})
    assert (second["kind"], second["of"]) == ("verdict", "scale")
    assert second["judgement"] == "half true"
    assert outputs[1].data["text/html"].startswith('<div class="l2g-claim l2g-answer" data-claim=')
    assert outputs[2].data["text/html"].startswith('<div class="l2g-claim l2g-verdict" data-claim=')
    assert "<b>Verdict: half true.</b> it is so" in outputs[2].data["text/html"]


def test_a_claim_that_is_false_where_seeds_are_varied_says_so(outputs):
    assert record(outputs[3])["holds"] is False


def test_the_ledger_shows_the_same_sentence_with_its_judgement():
    node = ledger.linked("08_metrics", LISTED | {"judgement": "half true", "counted": ""})
    assert node.astext() == "Half true. At 12 % p goes"
    assert [child.tagname for child in node[0].children if child.tagname != "#text"] == [
        "strong",
        "emphasis",
        "literal",
    ]
    assert node[0]["refuri"] == "08_metrics.html#scale"
    node = ledger.linked("08_metrics", LISTED | {"counted": "held in 5 of 5 other seed sets"})
    assert node.astext() == "At 12 % p goes held in 5 of 5 other seed sets"


def test_the_site_sets_formulas_and_adds_how_often_a_claim_held(outputs, monkeypatch):
    lines = {("claim", "*At* {acc:percent} & {gain:points mean}", 0): "held in 4 of 5 <sets>"}
    monkeypatch.setattr(counts, "of_page", lambda app: lines)
    page = outputs[0].data["text/html"].replace("✓ ", "✓ $a$ and $b < c$: ".replace("<", "&lt;"))
    other = outputs[1].data["text/html"]
    raws = [nodes.raw("", text, format="html") for text in (page, "<div>no claim</div>", other)]
    document = docutils.utils.new_document("page")
    document += nodes.section("", *raws, ids=["here"])
    env = SimpleNamespace(docname="08_metrics", metadata={"08_metrics": {}})
    ledger.collect_claims(SimpleNamespace(env=env), document)
    first, second, third = [raw.astext() for raw in document.findall(nodes.raw)]
    assert '✓ <span class="tex">a</span> and <span class="tex">b &lt; c</span>: <em>' in first
    assert first.endswith(
        ' <a class="l2g-held" href="ledger.html">held in 4 of 5 &lt;sets&gt;</a></div>'
        + ledger.MEANING
    )
    assert (second, third) == ("<div>no claim</div>", other)
    kept = env.metadata["08_metrics"]["ledger"]
    assert [claim["section"] for claim in kept] == ["here", "here"]
    assert [claim["counted"] for claim in kept] == [*lines.values(), ""]
    assert kept[1]["of"] == "gap"


def test_the_index_of_misconceptions_shows_marks_too():
    found = {"belief": "“so”", "verdict": "wrong", "sentence": "It *is* $p$.", "anchor": "so"}
    item = misconceptions.item("08_metrics", found)
    assert item.astext() == "“so” wrongIt is p."
    assert [e.astext() for e in item.findall(nodes.emphasis)] == ["is"]


LISTED = {"sentence": "*At* 12 % `p` goes", "section": "scale"}


@pytest.mark.parametrize(
    "text", ["*a* **b c** `d*e*f` $x*y*z$", "2*3 and 4*5", "a * b", "**x", "plain"]
)
def test_site_and_notebook_read_the_same_marks(text):
    paragraph = "".join(node.astext() for node in ledger.marked(text))
    assert paragraph == unmarked(text)
    tags = {"emphasis": "em", "strong": "b", "literal": "code"}
    made = [tags[node.tagname] for node in ledger.marked(text) if node.tagname in tags]
    assert made == re.findall(r"<(em|b|code)>", marked(text))
