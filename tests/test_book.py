"""`make book`: what a change executes again, what stops a build, and what the pages show.

The book under test has two tiny chapters; all else is the real one. Its cells note each execution
in a file outside of the tree, so that nothing that the build says about itself is believed.
"""

import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import joblib
import matplotlib.image
import pytest
import yaml
from bs4 import BeautifulSoup
from l2g_book import caches, counts

ROOT = Path(__file__).resolve().parents[1]
MAKE = shutil.which("make")
pytestmark = pytest.mark.skipif(MAKE is None, reason="make is not installed")

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
REPOSITORY = PROJECT["urls"]["Repository"].removeprefix("https://github.com/")

COPIED = ["Makefile", "pyproject.toml", "src", "book/_ext", "book/_static", "book/_vendor"]
COPIED += ["book/_config.yml", "book/course.yml", "book/references.bib"]
COPIED += [f"book/{page}.md" for page in ("notation", "ledger", "bibliography", "environment")]

LOOP, ENTROPY, SOFT = CHAPTERS = "05_training_loop", "06_cross_entropy", "07_soft_targets"
TOC = """\
format: jb-book
root: index
chapters:
- file: 05_training_loop
- file: 06_cross_entropy
- file: notation
- file: ledger
- file: bibliography
- file: environment
"""
START = """\
---
jupytext:
  text_representation: {extension: .md, format_name: myst}
kernelspec: {name: python3, display_name: Python 3, language: python}
---
# %s

```{code-cell} ipython3
:tags: [hide-cell]
import os

with open(os.environ["EXECUTED"], "a") as file:
    print("%s", file=file)
```
"""
TEXT = {
    LOOP: r"""
A step is {eq}`eq:step`.

$$
\theta - \eta g
$$ (eq:step)

```{code-cell} ipython3
import torch
from l2g import claim

threads = torch.get_num_threads()
```

```{code-cell} ipython3
:tags: [claims]
claim("a kernel has {n:count} *thread*", threads == 1, n=threads)
```

""",
    ENTROPY: r"""
After [the loop](05_training_loop.md) comes the softmax of {footcite:t}`bridle1990softmax`. This
draft says {eq}`eq:loss`, not {eq}`eq:probability`.

$$
p = e^z / \textstyle\sum e^z
$$ (eq:probability)

$$
z = 0
$$

$$
\ell = -\ln p
$$ (eq:loss)

```{code-cell} ipython3
from l2g import claim

loss = 2 ** 0.5 - 1
claim("“chance” costs < 1 nat & more", loss < 1, {"loss": loss, "runs": 3})
claim("a claim may stand alone", True)
```

```{code-cell} ipython3
---
mystnb:
  image: {alt: "A line that rises."}
  figure: {caption: "It *rises*."}
---
import matplotlib.pyplot as plt

plt.plot([0, 1])
plt.show()
```

```{code-cell} ipython3
:tags: [solution]
print("the answer is", 6 * 7)
```

:::{quiz}
What is $\ln 1$?

- [ ] It is *one*.

  That is $e^0$.
- [x] It is 0.

  As $e^0 = 1$.
:::

```{footbibliography}
```
""",
    SOFT: """
```{code-cell} ipython3
from l2g import claim

claim("a new chapter is found", True)
```
""",
}


class Build(NamedTuple):
    status: int
    log: str
    executed: list[str]


class Book:
    """A course in a folder, and how a person works on it."""

    def __init__(self, root):
        self.root = root

    def write_chapter(self, name):
        text = START % (name, name) + TEXT[name]
        (self.root / f"book/{name}.md").write_text(text, encoding="utf-8")

    def edit(self, path, old, new):
        text = (self.root / path).read_text(encoding="utf-8")
        assert old in text
        (self.root / path).write_text(text.replace(old, new), encoding="utf-8")

    def build(self):
        make = self.start()
        log, _ = make.communicate()
        log = re.sub(r"\x1b\[[\d;]*m", "", log)
        return Build(make.returncode, log, sorted(self.executed.read_text().split()))

    def start(self):
        """Starts `make book` with this Python's environment in place of .venv."""
        self.executed = self.root.with_name("executed")
        self.executed.write_text("")
        # Nothing of a `make test` around this, nor of what the book sets for its kernels.
        ours = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "OMP_NUM_THREADS", "TQDM_DISABLE")
        ours += ("L2G_HOME", "L2G_PHONE", "L2G_STATIC")
        env = {name: value for name, value in os.environ.items() if name not in ours}
        env |= {"PYTHONPATH": str(self.root / "src"), "EXECUTED": str(self.executed)}
        command = [MAKE, f"BIN={Path(sys.executable).parent}", f"PYTHON={sys.executable}", "book"]
        return subprocess.Popen(
            command,
            cwd=self.root,
            env=env,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            # Under `make test &` SIGINT is ignored, and every child would inherit that.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def add_code(self, name, code):
        """Appends a cell with code to a chapter."""
        with (self.root / f"book/{name}.md").open("a") as file:
            file.write(f"\n```{{code-cell}} ipython3\n{code}\n```\n")

    def caches(self, name):
        folder = self.root / "book/_build/.jupyter_cache" / name
        return {path.name for path in folder.iterdir()}

    def page(self, name):
        html = self.root / f"book/_build/html/{name}.html"
        return BeautifulSoup(html.read_text(encoding="utf-8"), "html.parser")

    def text(self, name):
        return " ".join(self.page(name).article.get_text().split())

    def tables(self, name):
        """The rows of each table, without its head."""
        tables = self.page(name).article("table")
        return [
            [
                tuple(cell.get_text(strip=True) for cell in row("td"))
                for row in table.select("tbody tr")
            ]
            for table in tables
        ]

    def ledger(self):
        """The sentences with their numbers, by chapter."""
        headings = self.page("ledger").select("article .l2g-part")
        lists = self.page("ledger").select("article .l2g-ledger")
        texts = [heading.get_text() for heading in headings]
        items = [[" ".join(item.get_text().split()) for item in found("li")] for found in lists]
        return dict(zip(texts, items, strict=True))

    def download(self, name):
        (href,) = self.links(name, ".ipynb")
        return (self.root / "book/_build/html" / href).read_bytes()

    def links(self, name, end):
        buttons = self.page(name).select(".article-header-buttons a")
        return [a["href"] for a in buttons if a["href"].endswith(end) and "colab" not in a["href"]]

    def colab(self, name):
        return [a["href"] for a in self.page(name)("a") if "colab" in a["href"]]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder of the book, its first build, and a copy of both that stays as it is."""
    book = Book(tmp_path_factory.mktemp("course") / "course")
    for path in map(Path, COPIED):
        (book.root / path).parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (ROOT / path).is_dir() else shutil.copy
        copy(ROOT / path, book.root / path)
    (book.root / "setup_env.py").write_text("")  # the environment is this one
    (book.root / "book/_toc.yml").write_text(TOC)
    (book.root / "book/index.md").write_text("# A tiny course\n\n```{course-map}\n```\n")
    for name in (LOOP, ENTROPY):
        book.write_chapter(name)
    first = book.build()
    assert first.status == 0, first.log
    kept = shutil.copytree(book.root, book.root.with_name("kept"))
    return book, first, Book(kept)


@pytest.fixture
def site(built):
    """The first build, to be looked at."""
    return built[2]


@pytest.fixture
def book(built):
    """The book as the first build left it, to be changed. Sphinx wants it where it was."""
    book, _, kept = built
    shutil.rmtree(book.root)
    shutil.copytree(kept.root, book.root)
    return book


# ---- what is executed again


def test_first_build_executes_every_chapter_once(built):
    assert built[1].executed == [LOOP, ENTROPY]


def test_unchanged_book_executes_nothing(book):
    status, _, executed = book.build()
    assert (status, executed) == (0, [])


def test_prose_is_shown_without_execution(book, site):
    book.edit(f"book/{ENTROPY}.md", "draft says", "page says")
    book.edit("book/notation.md", "number of classes", "how many classes")
    status, _, executed = book.build()
    assert (status, executed) == (0, [])
    assert "This page says" in book.text(ENTROPY)
    assert b"page says" in book.download(ENTROPY)
    assert "how many classes" in book.text("notation")
    assert book.ledger() == site.ledger()


def test_code_is_executed_in_its_chapter_only(book, site):
    book.edit(f"book/{LOOP}.md", "a kernel has", "each kernel has")
    status, _, executed = book.build()
    assert (status, executed) == (0, [LOOP])
    claims = ["each kernel has 1 thread"]
    assert book.ledger() == site.ledger() | {"5 · The training loop": claims}
    assert {row[0] for row in book.tables("environment")[1]} == {LOOP, ENTROPY, "Together"}


def test_counts_are_shown_with_their_claims(book, site):
    path = book.root / f"book/replication/{LOOP}.json"
    template = "a kernel has {n:count} *thread*"
    count = {"kind": "claim", "template": template, "held": 4, "fixed": False}
    code = caches.read_page(book.root / f"book/{LOOP}.md").code()
    for known, lines in [(code, ["held in 4 of 5 other seed sets; older package"]), ("other", [])]:
        offsets = [1, 2, 3, 4, 5]
        data = {"code": known, "package": "other", "offsets": offsets, "claims": [count]}
        counts.write(path, data)
        status, _, executed = book.build()
        assert (status, executed) == (0, [])
        shown = book.page(LOOP).select(".l2g-claim .l2g-held")
        assert [line.get_text() for line in shown] == lines
        meanings = book.page(LOOP).select(".l2g-claim ~ .l2g-meaning")
        assert len(meanings) == len(lines)  # explained once, and only where there is a count
        sentence = " ".join(["a kernel has 1 thread", *lines])
        assert book.ledger() == site.ledger() | {"5 · The training loop": [sentence]}


def test_a_claim_below_a_caption_stops_the_build(book):
    book.edit(f"book/{ENTROPY}.md", "plt.show()", 'plt.show()\nclaim("so it is", True)')
    status, log, _ = book.build()
    assert status != 0
    wanted = f"{ENTROPY}: a cell with a caption makes a claim, which needs a cell of its own"
    assert wanted in log
    assert "so it is" in log
    book.edit("book/course.yml", f"{ENTROPY}, title", f"{ENTROPY}, edition: 1, title")
    status, _, executed = book.build()
    assert (status, executed) == (0, [])


def change(book, path):
    """Adds a comment to a file of the package."""
    source = book.root / "src/l2g" / path
    source.write_text(source.read_text() + "\n# changed\n")


def test_page_is_executed_again_when_what_it_imports_changes(book):
    book.add_code(LOOP, "from l2g import losses")
    assert book.build().executed == [LOOP]
    for path, executed in [
        ("losses/__init__.py", [LOOP]),
        ("layers/dropout.py", []),
        ("evidence/words.py", [LOOP, ENTROPY]),
    ]:
        change(book, path)
        build = book.build()
        assert (build.status, build.executed) == (0, executed)
    assert len(book.tables("environment")[1]) == 3


def test_results_of_the_code_before_last_are_dropped(book):
    source = book.root / "src/l2g/evidence/claims.py"
    first = source.read_text()
    states = [book.caches(LOOP)]
    for change in ("# one\n", "# two\n"):
        source.write_text(first + change)
        assert book.build().executed == [LOOP, ENTROPY]
        states.append(book.caches(LOOP))
    assert [len(state) for state in states] == [1, 2, 2]
    assert states[0] <= states[1]
    assert not states[0] <= states[2]
    source.write_text(first + "# one\n")
    assert book.build().executed == []


WAIT = """\
import time
from pathlib import Path

Path("../started_{here}").touch()
for _ in range(600):
    if Path("../started_{there}").exists():
        break
    time.sleep(0.1)
else:
    raise RuntimeError("the other chapter has not been started")"""


@pytest.mark.skipif(joblib.cpu_count() < 2, reason="one core executes one chapter at a time")
def test_chapters_are_executed_side_by_side(book):
    book.add_code(LOOP, WAIT.format(here=LOOP, there=ENTROPY))
    book.add_code(ENTROPY, WAIT.format(here=ENTROPY, there=LOOP))
    status, log, executed = book.build()
    assert status == 0, log
    assert executed == [LOOP, ENTROPY]
    for name in (LOOP, ENTROPY):
        assert re.search(rf"executed {name} in \d+\.\d s", log)


def test_new_release_of_a_dependency_is_part_of_every_result(book):
    metadata = book.root / "src/torchvision-99.9.dist-info/METADATA"
    metadata.parent.mkdir()
    metadata.write_text("Metadata-Version: 2.1\nName: torchvision\nVersion: 99.9\n")
    status, _, executed = book.build()
    assert (status, executed) == (0, [LOOP, ENTROPY])
    assert "torchvision 99.9" in book.text("environment")


def test_unfinished_build_is_finished_from_the_cache(book, site):
    for page in ("ledger", ENTROPY):
        (book.root / f"book/_build/html/{page}.html").unlink()
    (book.root / "book/_build/.unfinished").touch()
    status, _, executed = book.build()
    assert (status, executed) == (0, [])
    assert book.ledger() == site.ledger()
    assert book.text(ENTROPY) == site.text(ENTROPY)


# ---- what stops a build


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("loss = 1 / (loss > 1)", "ZeroDivisionError: division by zero"),
        ('claim("pigs fly", loss > 1, {"pigs": 0})', "this does not hold: pigs fly  (pigs = 0)"),
        (
            'claim("*pigs* fly {high:.1f} m, {low:.1f} at least", loss > 1, high=2.25, low=0)',
            "this does not hold: pigs fly 2.2 m, 0.0 at least",
        ),
    ],
    ids=["error", "claim", "claim in words"],
)
def test_failing_cell_stops_the_build_until_it_is_mended(book, code, message):
    chapter = f"book/{ENTROPY}.md"
    book.edit(chapter, 'claim("a claim', f'{code}\nclaim("a claim')
    status, log, _ = book.build()
    assert status != 0
    cause = f"{ENTROPY}.md: An error occurred", code, message
    assert re.search(".*".join(map(re.escape, cause)) + r"\s+make\b", log, re.DOTALL)
    assert "jupyter_book/" not in log
    book.edit(chapter, f"{code}\n", "")
    status, _, executed = book.build()
    assert (status, executed) == (0, [])  # what ran well before is still in the cache


def test_failing_cells_leave_the_results_of_other_chapters(book):
    book.write_chapter(SOFT)
    book.edit("book/_toc.yml", f"- file: {ENTROPY}\n", f"- file: {ENTROPY}\n- file: {SOFT}\n")
    for name in (LOOP, ENTROPY):
        book.add_code(name, f"raise RuntimeError('{name} is broken')")
    status, log, executed = book.build()
    assert status != 0
    assert executed == [LOOP, ENTROPY, SOFT]
    for name in (LOOP, ENTROPY):
        assert re.search(
            rf"{name}\.md: An error occurred.*RuntimeError.*{name} is broken", log, re.S
        )
        book.edit(f"book/{name}.md", "raise Run", "print('mended')  # Run")
    status, log, executed = book.build()
    assert status == 0, log
    assert executed == [LOOP, ENTROPY]


def test_interrupted_build_ends_its_kernels_and_can_be_run_again(book):
    pid = book.root.with_name("pid")
    wait = f"import os, time\n\nopen('{pid}', 'w').write(str(os.getpid()))\ntime.sleep(300)"
    book.add_code(LOOP, wait)
    make = book.start()
    while not (pid.exists() and pid.read_text()):
        assert make.poll() is None, make.stdout.read()
        time.sleep(0.1)
    os.killpg(make.pid, signal.SIGINT)
    make.communicate(timeout=300)
    assert make.returncode != 0
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)
    book.edit(f"book/{LOOP}.md", "time.sleep(300)", "time.sleep(0)")
    status, log, executed = book.build()
    assert status == 0, log
    assert executed == [LOOP]


def test_warnings_stop_every_build_until_they_are_mended(book):
    good = (book.root / "book/notation.md").read_text()
    wrong = {
        "[a page](nowhere.md)": "'myst' cross-reference target not found: 'nowhere.md'",
        "[a label](#nowhere)": "'myst' cross-reference target not found: 'nowhere'",
        "{eq}`eq:nothing`": "equation not found: eq:nothing",
        "{footcite:p}`nobody1900`": 'could not find bibtex key "nobody1900"',
    }
    (book.root / "book/notation.md").write_text("# Notation\n\n" + "\n\n".join(wrong))
    for _ in range(2):
        status, log, executed = book.build()
        assert status != 0
        assert executed == []
        for line, message in enumerate(wrong.values()):
            assert f"notation.md:{3 + 2 * line}: WARNING: {message}" in log
    (book.root / "book/notation.md").write_text(good)
    status, _, executed = book.build()
    assert (status, executed) == (0, [])


def test_chapter_without_a_claim_stops_the_build(book):
    book.edit(
        f"book/{LOOP}.md",
        'claim("a kernel has {n:count} *thread*", threads == 1, n=threads',
        "print(threads",
    )
    status, log, _ = book.build()
    assert status != 0
    assert f"{LOOP} makes no claim" in log
    assert "jupyter_book/" not in log


def test_chapter_is_published_by_plan_and_table_of_contents(book, site):
    plan = book.root / "book/course.yml"
    planned = plan.read_text()
    plan.write_text(planned.replace(LOOP, "05_loop"))
    book.write_chapter(SOFT)
    status, log, _ = book.build()
    assert status != 0
    assert f"book/{SOFT}.md is missing from book/_toc.yml" in log
    assert f"book/{LOOP}.md is missing from book/course.yml" in log

    plan.write_text(planned)
    book.edit("book/_toc.yml", f"- file: {ENTROPY}\n", f"- file: {ENTROPY}\n- file: {SOFT}\n")
    status, _, executed = book.build()
    assert (status, executed) == (0, [SOFT])
    assert book.page("index").article.find("a", href=f"{SOFT}.html")
    assert book.ledger() == site.ledger() | {"7 · Soft targets": ["a new chapter is found"]}


BAD_QUIZZES = [
    ("Only text.", "a quiz needs a list of answers"),
    ("- [x] one\n\n  Yes.\n- [x] two\n\n  Yes.", "a quiz needs exactly one right answer"),
    ("- [ ] one\n\n  No.\n- [ ] two\n\n  No.", "a quiz needs exactly one right answer"),
    ("- [x] one\n\n  Yes.\n- [ ] two", "an indented paragraph explains it: '[ ] two'"),
    ("- [x] one\n\n  Yes.\n- two\n\n  No.", "an answer starts with '[ ] ' or '[x] '"),
    ("- [x] one\n\n  Yes.\n-", "an answer starts with '[ ] ' or '[x] '"),
]


def test_bad_quiz_is_named_by_file_and_line(book):
    text = "# Notation\n"
    expected = []
    for answers, message in BAD_QUIZZES:
        text += "\n"
        expected.append((text.count("\n") + 1, message))
        text += f":::{{quiz}}\nOne or two?\n\n{answers}\n:::\n"
    (book.root / "book/notation.md").write_text(text)
    status, log, _ = book.build()
    assert status != 0
    found = re.findall(r"book/notation\.md:(\d+): ERROR: (.*)", log)
    assert [int(line) for line, _ in found] == [line for line, _ in expected]
    for (_, said), (_, message) in zip(found, expected, strict=True):
        assert message in said


@pytest.mark.parametrize(
    ("setting", "address"),
    [("html_js_files", "https://example.org/a.js"), ("html_css_files", "//example.org/a.css")],
)
def test_file_from_another_host_stops_the_build(book, setting, address):
    book.edit(
        "book/_config.yml", "    numfig: false", f"    numfig: false\n    {setting}: [{address}]"
    )
    status, log, _ = book.build()
    assert status != 0
    assert re.search(rf"\w+ would load {address} from another host", log)
    assert "jupyter_book/" not in log


# ---- what the pages show


def test_ledger_holds_every_claim_of_every_chapter(site):
    assert site.ledger() == {
        "5 · The training loop": ["a kernel has 1 thread"],
        "6 · Cross-entropy": [
            "“chance” costs < 1 nat & more (loss = 0.4142, runs = 3)",
            "a claim may stand alone",
        ],
    }


def test_map_links_what_is_published(site):
    plan = yaml.safe_load((ROOT / "book/course.yml").read_text(encoding="utf-8"))
    chapters = {chapter["title"]: chapter for part in plan for chapter in part["chapters"]}
    cards = site.page("index").select(".l2g-map li")
    assert [card.select_one("a, strong").get_text() for card in cards] == [*chapters]
    for card, chapter in zip(cards, chapters.values(), strict=True):
        published = chapter["name"] in CHAPTERS[:2]
        assert [a["href"] for a in card("a")] == [f"{chapter['name']}.html"] * published
        assert ("planned" in [span.get_text() for span in card("span")]) != published
        assert chapter["question"] in card.get_text()
        assert (site.root / f"book/_build/html/{chapter['name']}.html").exists() == published


def test_change_of_the_plan_is_shown(book):
    book.edit("book/course.yml", "title: Cross-entropy", "title: Crossed entropy")
    status, _, executed = book.build()
    assert (status, executed) == (0, [])
    assert "Crossed entropy" in book.text("index")
    assert "6 · Crossed entropy" in book.ledger()


def test_quiz_answers_explain_themselves(site):
    answers = site.page(ENTROPY).select(".l2g-quiz details")
    shown = [" ".join(answer.get_text(" ", strip=True).split()) for answer in answers]
    assert shown == [
        "Answer: It is one . ✗ Not quite. That is e^0 .",
        "Answer: It is 0. ✓ Right. As e^0 = 1 .",
    ]
    assert [answer.summary.get_text() for answer in answers] == [
        "Answer: It is one.",
        "Answer: It is 0.",
    ]
    assert not any(answer.has_attr("open") for answer in answers)


def test_solution_is_folded(site):
    (cell,) = site.page(ENTROPY).select(".tag_solution")
    assert "Show the solution" in cell.details.summary.get_text()
    assert "Hide the solution" in cell.details.summary.get_text()
    assert "6 * 7" in " ".join(cell.details.get_text().split())
    assert "the answer is 42" in cell.details.get_text()  # its outcome is part of the fold
    assert not cell.details.has_attr("open")


def test_claims_are_folded_and_their_sentences_shown(site):
    (claim,) = site.page(LOOP).select(".tag_claims")
    assert "Show the check" in claim.details.summary.get_text()
    assert "Hide the check" in claim.details.summary.get_text()
    assert "{n:count}" in claim.details.get_text()
    assert not claim.details.has_attr("open")
    (shown,) = claim.select(".cell_output .l2g-claim")
    assert shown.get_text().strip() == "✓ a kernel has 1 thread"
    assert shown.em.get_text() == "thread"


def test_equations_are_numbered_on_each_page_where_they_have_a_label(site):
    assert "A step is (1)." in site.text(LOOP)
    assert "says (2), not (1)." in site.text(ENTROPY)
    numbers = [number.get_text() for number in site.page(ENTROPY).select(".eqno")]
    assert [number[:3] for number in numbers] == ["(1)", "(2)"]
    assert len(site.page(ENTROPY).select(".tex[data-display]")) == 3


def test_figure_has_alternative_text_and_a_caption_without_a_number(site):
    figure = site.page(ENTROPY).figure
    assert figure.img["alt"] == "A line that rises."
    assert figure.select_one(".caption-text").get_text() == "It rises."
    assert figure.select_one(".caption-text em").get_text() == "rises"
    assert "Fig." not in figure.get_text()


def test_figure_is_loaded_late_into_the_room_that_it_needs(site):
    image = site.page(ENTROPY).figure.img
    assert image["loading"] == "lazy"
    height, width, _ = matplotlib.image.imread(site.root / "book/_build/html" / image["src"]).shape
    assert (int(image["width"]), int(image["height"])) == (width, height)


def test_buttons_lead_to_the_generated_notebook(site):
    for name in (LOOP, ENTROPY):
        place = f"{REPOSITORY}/blob/main/chapters/{name}.ipynb"
        assert site.colab(name) == [f"https://colab.research.google.com/github/{place}"]
        assert site.download(name) == (site.root / f"chapters/{name}.ipynb").read_bytes()
    for name in ("index", "notation", "ledger", "bibliography", "environment"):
        assert site.colab(name) == site.links(name, ".ipynb") == []


def test_every_link_follows_the_address_in_pyproject(book):
    book.edit("pyproject.toml", REPOSITORY, "someone/course")
    status, _, _ = book.build()
    assert status == 0
    place = f"someone/course/blob/main/chapters/{ENTROPY}.ipynb"
    assert book.colab(ENTROPY) == [f"https://colab.research.google.com/github/{place}"]
    assert b"https://someone.github.io/course/" in book.download(ENTROPY)
    for page in (book.root / "book/_build/html").glob("*.html"):
        assert REPOSITORY not in page.read_text(encoding="utf-8")
    assert book.page("notation").find("a", href="https://github.com/someone/course")


def test_change_of_the_bibliography_is_shown_in_page_and_notebook(book):
    book.edit("book/references.bib", "{Bridle, John S.}", "{Bridge, John S.}")
    status, _, executed = book.build()
    assert (status, executed) == (0, [])
    assert "the softmax of Bridge" in book.text(ENTROPY)
    assert b"Bridge" in book.download(ENTROPY)
    assert "Bridge" in book.text("bibliography")


def test_pages_load_nothing_from_another_host(site):
    for page in (site.root / "book/_build/html").glob("*.html"):
        loaded = BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser")
        sources = [tag["src"] for tag in loaded(src=True)]
        sources += [tag["href"] for tag in loaded("link", rel=["stylesheet", "preload", "icon"])]
        assert sources or page.stem == "404"  # which must not need a file beside it
        assert not [source for source in sources if re.match("(https?:)?//", source)]


def test_environment_names_versions_and_run_times(site):
    versions, times = site.tables("environment")
    packages = ("torch", "torchvision", "numpy", "scipy", "scikit-learn", "matplotlib")
    expected = {name: version(name) for name in packages} | {"Python": platform.python_version()}
    assert expected.items() <= dict(versions).items()
    assert dict(versions)["Threads of torch"] == "1"
    assert {"Commit of the course", "System"} <= dict(versions).keys()
    titles = [site.page(name).h1.find(string=True).strip() for name in (LOOP, ENTROPY)]
    assert [title for title, _ in times] == [*titles, "Together"]
    *pages, total = [float(seconds.removesuffix(" s")) for _, seconds in times]
    assert total == pytest.approx(sum(pages), abs=0.2)
    bars = site.page("environment").select(".l2g-bar")
    widths = [float(re.fullmatch(r"width: (\d+)%", bar["style"])[1]) for bar in bars]
    assert widths == pytest.approx([100 * seconds / max(pages) for seconds in pages], abs=4)
    sentence = r"When nothing was cached, \d kernels? did it in \d+ s\."
    assert re.search(sentence, site.text("environment"))
