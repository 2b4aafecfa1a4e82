"""The appendices: glossary and its links, index of misconceptions, reference, instructor's corner.

What they compute is tried on a tiny book of two chapters, built here by Sphinx in a second; what
they say of the real chapters is held against their sources.
"""

import ast
import importlib
import inspect
import re
from types import SimpleNamespace

import pytest
from bs4 import BeautifulSoup
from l2g_book import glossary, instructors, misconceptions
from l2g_book.project import ROOT, chapter_sources
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util.docutils import docutils_namespace, patch_docutils

from l2g.exercises import registry

SOURCES = {path.stem: path.read_text(encoding="utf-8") for path in chapter_sources()}
TERMS = glossary.entries(glossary.SOURCE)
HANGUL = re.compile(r"[가-힣]")


@pytest.fixture
def build(tmp_path, monkeypatch):
    """build(pages) builds a tiny book; it returns its pages as trees, and its warnings."""

    def build(pages, terms="[]"):
        book = tmp_path / "book"
        book.mkdir()
        contents = "# Book\n\n```{toctree}\n:glob:\n\n*\n```\n"
        for name, text in {"index": contents, **pages}.items():
            (book / f"{name}.md").write_text(text, encoding="utf-8")
        (book / "glossary.yml").write_text(terms, encoding="utf-8")
        chapters = sorted(book.glob("[0-9]*.md"))
        monkeypatch.setattr(glossary, "SOURCE", book / "glossary.yml")
        monkeypatch.setattr(glossary, "chapter_sources", lambda: chapters)
        monkeypatch.setattr(misconceptions, "chapter_sources", lambda: chapters)
        parts = [f"l2g_book.{name}" for name in ("api", "glossary", "instructors")]
        settings = {
            "extensions": ["myst_parser", *parts, "l2g_book.misconceptions"],
            "myst_enable_extensions": ["colon_fence", "dollarmath"],
            "myst_heading_anchors": 3,
        }
        warnings = tmp_path / "warnings"
        with patch_docutils(), docutils_namespace(), warnings.open("w+") as stream:
            folders = (book, None, tmp_path / "html", tmp_path / "trees", "html")
            app = Sphinx(*folders, confoverrides=settings, status=None, warning=stream)
            app.config.nitpicky = True
            app.build()
        trees = {
            name: BeautifulSoup((tmp_path / f"html/{name}.html").read_text("utf-8"), "html.parser")
            for name in pages
        }
        return SimpleNamespace(**trees, pages=trees, warnings=warnings.read_text())

    return build


def sections(text):
    """The slugs of a chapter's headings, as links name them."""
    prose = re.sub(r"^(`{3,})\{code-cell.*?^\1$", "", text, flags=re.DOTALL | re.MULTILINE)
    return {slug(title) for title in re.findall(r"^#+ (.+)$", prose, re.MULTILINE)}


def slug(title):
    return re.sub(r"[^\w\s-]", "", title.strip().lower()).replace(" ", "-")


# ---- the glossary


def test_glossary_is_large_enough_and_in_two_languages():
    assert len(TERMS) >= 110
    names = {"RMSprop", "AdamW", "AMSGrad"}  # Korean texts write these in Latin letters
    for entry in TERMS:
        assert HANGUL.search(entry["ko"]) or entry["term"] in names, entry
        assert entry["is"].endswith((".", ".)")), entry
        assert 20 < len(entry["is"]) < 200, entry
        assert not re.search(r"[$`*]", entry["is"]), f"{entry} is shown in tooltips as it stands"


def test_generalization_regularization_and_normalization_are_kept_apart():
    korean = {entry["term"]: set(entry["ko"].split(", ")) for entry in TERMS}
    words = [korean[term] for term in ("generalization", "regularization", "normalization")]
    assert words == [{"일반화"}, {"규제", "정칙화"}, {"정규화"}]
    assert korean["batch normalization"] == {"배치 정규화"}


@pytest.mark.parametrize("entry", TERMS, ids=lambda entry: entry["term"].replace(" ", "-"))
def test_term_occurs_where_the_glossary_says(entry):
    page, _, section = entry["at"].partition("#")
    assert page in SOURCES
    assert section in sections(SOURCES[page]), f"{page} has no section {section!r}"
    text = SOURCES[page].replace("*", "")
    assert glossary.pattern(glossary.spellings(entry)).search(text)


ENTRIES = """
- {term: slope, ko: 경사, is: How steep it is., at: 01_one#slopes, also: [steepness]}
- {term: gentle slope, ko: 완만한 경사, is: Not so steep., at: 01_one#slopes}
- {term: Ho's box, ko: 상자, is: A box., at: 02_two#boxes}
- {term: batch, ko: 배치, is: Some examples., at: 01_one#slopes, link: false}
- {term: later, ko: 나중, is: To come., at: 03_three#later}
"""
ONE = "# One\n\nBefore its section, a slope is linked.\n\n## Slopes\n\nA gentle slope; Ho's box."
TWO = """\
# A slope in the title

$slope$ and `slope` and [a slope](01_one.md) are left alone, upslope is another word.

| slope |
|---|
| slope |

:::{admonition} A slope
:class: exercise
Find the slope.
:::

- Two **Gentle
  slopes**, two Slopes, and steepness again; a batch.

## Boxes

Ho's box is at home here. Sooner or later.
"""


def linked(page):
    return [(" ".join(a.get_text().split()), a["href"]) for a in page.select("a.l2g-term")]


def test_first_uses_are_linked(build):
    site = build(
        {"01_one": ONE, "02_two": TWO, "glossary": "# Words\n\n```{glossary-terms}\n```"}, ENTRIES
    )
    assert site.warnings == ""
    home = "glossary.html#"
    assert linked(site.pages["01_one"]) == [
        ("slope", f"{home}slope"),
        ("Ho’s box", f"{home}ho-s-box"),
    ]
    assert linked(site.pages["02_two"]) == [
        ("Gentle slopes", f"{home}gentle-slope"),
        ("Slopes", f"{home}slope"),
        ("later", f"{home}later"),
    ]
    tip = site.pages["02_two"].select_one("a.l2g-term")["title"]
    assert tip == "gentle slope · 완만한 경사: Not so steep."


def test_glossary_page_is_alphabetical_and_leads_back(build):
    more = {
        "glossary": "# Words\n\n```{glossary-terms}\n```\n",
        "notes": "# N\n\n[that](glossary.md#ho-s-box)",
    }
    site = build({"01_one": ONE, "02_two": TWO, **more}, ENTRIES)
    assert site.warnings == ""  # so links to a term are found
    terms = site.glossary.select("dl.l2g-glossary > dt")
    assert [t.strong.get_text() for t in terms] == [
        "batch",
        "gentle slope",
        "Ho’s box",
        "later",
        "slope",
    ]
    assert [t.find(lang="ko").get_text() for t in terms][1] == "완만한 경사"
    assert [t["id"] for t in terms][2] == "ho-s-box"
    places = [d.a["href"] if d.a else d.get_text(strip=True) for d in site.glossary.select("dd")]
    assert places[4] == "01_one.html#slopes"
    assert places[3] == "To come. (chapter 3)"  # not written yet
    letters = [a["href"] for a in site.glossary.select(".l2g-initials a")]
    assert letters == ["#batch", "#gentle-slope", "#ho-s-box", "#later", "#slope"]
    assert site.notes.select_one('a[href="glossary.html#ho-s-box"]')


def test_without_a_glossary_page_nothing_is_linked(build):
    site = build({"01_one": ONE, "02_two": TWO}, ENTRIES)
    assert linked(site.pages["02_two"]) == []


def test_wrong_section_of_a_term_is_a_warning(build):
    wrong = "[{term: slope, ko: 경사, is: How steep., at: 01_one#nowhere}]"
    site = build({"01_one": ONE, "glossary": "# Words\n\n```{glossary-terms}\n```"}, wrong)
    assert "local id not found in doc '01_one': 'nowhere'" in site.warnings


@pytest.mark.parametrize("name", SOURCES)
def test_links_on_the_site_are_few(name):
    site = ROOT / "book/_build/html"
    if not (site / "glossary.html").exists():
        pytest.skip("the site is not built: run make book")
    words = linked(BeautifulSoup((site / f"{name}.html").read_text("utf-8"), "html.parser"))
    assert 5 <= len(words) <= 30
    assert len({goal for _, goal in words}) == len(words)


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ("[{term: a, ko: b, is: c}]", "lacks at"),
        (
            "[{term: a, ko: b, is: c, at: d}, {term: e, ko: b, is: c, at: d, also: [A]}]",
            "'A' is there",
        ),
    ],
)
def test_bad_glossary_is_refused(tmp_path, terms, message):
    (tmp_path / "glossary.yml").write_text(terms)
    with pytest.raises(ValueError, match=message):
        glossary.entries(tmp_path / "glossary.yml")


# ---- the index of misconceptions

BELIEFS = """\
# One

:::{admonition} “A box”
:class: misconception
Predict.
:::

A run.

**Verdict: wrong, and how.** So there.

### “A heading”

**Verdict: imprecise.** Well.

### No belief

They say *“in passing”*. **Verdict: half true.** So.
"""


def test_every_form_of_belief_is_listed_with_its_verdict(build):
    site = build(
        {"01_generalization": BELIEFS, "misconceptions": "# M\n\n```{misconceptions}\n```"}
    )
    items = site.misconceptions.select(".l2g-beliefs li")
    found = [(li.a.get_text(), li.select_one(".l2g-judged").get_text()) for li in items]
    assert found == [
        ("“A box”", "wrong, and how"),
        ("“A heading”", "imprecise"),
        ("“in passing”", "half true"),
    ]
    chapter = site.pages["01_generalization"]
    goals = [chapter.find(id=li.a["href"].removeprefix("01_generalization.html#")) for li in items]
    assert "misconception" in goals[0]["class"]
    assert "“A heading”" in goals[1].get_text()
    assert "in passing" in goals[2].get_text()
    assert site.misconceptions.select_one(".l2g-part").get_text() == "1 · Generalization"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("**Verdict: wrong, and how.**", "No."), "the misconception “A box” has no verdict"),
        (("**Verdict: imprecise.**", "Well."), "the misconception “A heading” has no verdict"),
        (("### “A heading”", "### A heading"), "verdict “imprecise” belongs to no belief"),
    ],
)
def test_belief_and_verdict_come_in_pairs(build, change, message):
    with pytest.raises(ExtensionError, match=message):
        build({"01_generalization": BELIEFS.replace(*change)})


@pytest.mark.parametrize("name", SOURCES)
def test_index_on_the_site_is_complete(name):
    page = ROOT / "book/_build/html/misconceptions.html"
    if not page.exists():
        pytest.skip("the site is not built: run make book")
    listed = BeautifulSoup(page.read_text("utf-8"), "html.parser").select(".l2g-beliefs a")
    mine = [a.get_text() for a in listed if a["href"].startswith(name)]
    tested = re.findall(r"\*\*Verdict:|^:::+\{belief\}", SOURCES[name], re.MULTILINE)
    assert len(mine) == len(tested) > 0


# ---- the reference

REFERENCE = (ROOT / "book/api.md").read_text(encoding="utf-8")
MODULES = dict(re.findall(r"```\{api\} (\S+)\n(?::only: (.+)\n)?```", REFERENCE))
INTERNAL = {"checks", "describe", "runs", "stack"}  # what fit and fit_many are made of
INTERNAL |= {"cache", "files", "numbers"}  # what loading, saving and checking are made of


def names_of(module):
    """The functions and classes of a module that the reference shows."""
    running = importlib.import_module(f"l2g.{module}")
    public = {
        name
        for name, found in vars(running).items()
        if inspect.isclass(found) or inspect.isfunction(found)
        if found.__module__ == running.__name__ and found.__doc__ and not name.startswith("_")
    }
    return {name.strip() for name in MODULES[module].split(",") if name} or public


DOCUMENTED = {f"l2g.{module}.{name}" for module in MODULES for name in names_of(module)}


def test_reference_has_every_module():
    rooms = {module.split(".")[0] for module in MODULES}
    paths = [path for path in (ROOT / "src/l2g").iterdir() if path.stem not in ("__init__", "py")]
    known = {p.stem for p in paths if p.suffix == ".py" or (p / "__init__.py").exists()}
    assert rooms == known - INTERNAL


def test_reference_has_whatever_chapters_use():
    for name, text in SOURCES.items():
        code = "\n".join(re.findall(r"^```\{code-cell\}.*?\n(.*?)^```$", text, re.S | re.M))
        code = re.sub(r"^---\n.*?^---\n|^:tags:[^\n]*\n", "", code, flags=re.S | re.M)
        used = []
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("l2g"):
                used += [(node.module, alias.name) for alias in node.names]
            elif isinstance(node, ast.Attribute):
                room = getattr(node.value, "id", "")
                if room in ("layers", "losses", "models", "optim", "schedules"):
                    used.append((f"l2g.{room}", node.attr))
        assert used, name
        for module, attribute in used:
            found = getattr(importlib.import_module(module), attribute, None)
            if inspect.isclass(found) or inspect.isfunction(found):
                assert f"{found.__module__}.{found.__name__}" in DOCUMENTED, name


def test_reference_shows_every_public_name_without_a_warning(build, tmp_path):
    site = build({"api": REFERENCE})
    assert not (tmp_path / "html/py-modindex.html").exists()  # one more page that says the same
    assert site.warnings == ""  # so every docstring can be read
    shown = {entry["id"] for entry in site.api.select("dl.py > dt[id]")}
    assert shown >= DOCUMENTED
    assert {name.rpartition(".")[0] for name in shown - DOCUMENTED} <= DOCUMENTED  # their methods
    assert len(site.api.select("section section p > a:-soup-contains(Source)")) == len(MODULES)
    assert "<factory>" not in site.api.get_text()
    assert "Alias for field" not in site.api.get_text()


def test_reference_of_a_module(build):
    site = build({"api": "# L\n\n## losses\n\n```{api} losses\n:only: nll_loss, softmax\n```\n"})
    assert site.warnings == ""
    entries = site.api.select("dl.py")
    assert [e.dt["id"] for e in entries] == ["l2g.losses.softmax", "l2g.losses.nll_loss"]
    text = " ".join(entries[1].get_text().split())
    assert "reduction: str = 'mean'" in text
    assert "it expects log-probabilities" in text
    names = [li.strong.get_text() for li in entries[1].select("li")]
    assert names[:4] == ["log_probs", "targets", "reduction", "weight"]
    source = "blob/main/src/l2g/losses/__init__.py"
    assert site.api.find("a", string="Source")["href"].endswith(source)


def test_names_that_do_not_exist_are_named(build):
    text = "# L\n\n```{api} loses\n```\n\n```{api} losses\n:only: softmax, hardmax\n```\n"
    site = build({"api": text})
    assert "api.md:3: ERROR: the package l2g has no module 'loses'" in site.warnings
    assert "api.md:6: ERROR: l2g.losses documents no hardmax" in site.warnings


# ---- the instructor's corner

CORNER = (ROOT / "book/instructors.md").read_text(encoding="utf-8")
PLAN = instructors.by_number()
STANDING = [number for number, chapter in PLAN.items() if chapter["name"] in SOURCES]


def planned(heading):
    part = CORNER.split(f"## {heading}")[1].split("\n## ")[0]
    return [int(number) for number in re.findall(r"\{chapter\}`(\d+)`", part)]


@pytest.mark.parametrize("count", [1, 12, 21, 30])
def test_the_whole_course_is_spread_evenly_over_a_term(count):
    weeks = instructors.spread(list(range(count)))
    assert len(weeks) == instructors.WEEKS
    assert [number for week in weeks for number in week] == list(range(count))
    assert max(map(len, weeks)) - min(map(len, weeks)) <= 1


@pytest.mark.parametrize("plan", ["Six weeks", "Twelve weeks"])
def test_plans_hold_together(plan):
    given = planned(plan)
    assert len(given) > 5
    assert given == sorted(given)
    assert set(given) <= set(STANDING)  # nothing in it is still to be written
    for number in given:
        assert set(PLAN[number].get("needs", [])) <= set(given[: given.index(number)])


@pytest.mark.parametrize("number", STANDING)
def test_chapter_comes_after_what_its_box_asks_for(number):
    needs = PLAN[number].get("needs", [])
    assert all(need < number and need in STANDING for need in needs)
    box = re.search(r"\*\*You need:\*\*(.+?)\*\*Time:", SOURCES[PLAN[number]["name"]], re.DOTALL)
    asked = {int(n) for n in re.findall(r"\((\d\d)_\w+\.md\)", box[1])}
    assert asked <= set(needs)


@pytest.mark.parametrize("number", STANDING)
def test_minutes_and_exercises_are_those_of_the_chapter(number):
    text = SOURCES[PLAN[number]["name"]]
    read, practise = instructors.times(PLAN[number]["name"])
    assert 5 <= int(read.removesuffix(" min")) <= 60
    assert ("{minutes}`reading`" in text) == (practise != "—")
    assert re.search(r"((under|about)\s+)?one\s+minute\s+to\s+run", text)
    names = instructors.checked(number)
    assert names == list(dict.fromkeys(re.findall(r'^check\("(\w+)"', text, re.MULTILINE)))
    assert set(names) <= registry().keys()


def test_tables_show_what_stands(build):
    text = "# I\n\n```{chapter-table}\n```\n\n```{checked-exercises}\n```\n\n"
    text += "```{whole-course}\n```\n\n"
    text += "{chapter}`10`, {chapter}`3`, {chapter}`99`"
    site = build({"10_momentum": "# Ten", "instructors": text})
    rows = [[cell.get_text(" ", strip=True) for cell in tr("td")] for tr in site.instructors("tr")]
    read, practise = instructors.times("10_momentum")
    assert rows[1] == ["10 Momentum", read, practise, "—", "9"]
    assert rows[3] == ["10 Momentum", " ".join(instructors.checked(10))]
    assert rows[5] == ["1", "1 Generalization (planned) , 2 Bias and variance (planned)"]
    assert "10 Momentum, 3 Cross-validation (planned)" in site.instructors.get_text()
    assert "the plan has no chapter '99'" in site.warnings


@pytest.mark.parametrize("code", re.findall(r"```python\n(.*?)```", CORNER, re.DOTALL))
def test_code_of_the_corner_runs(code):
    exec(compile(code, "instructors.md", "exec"), {})
