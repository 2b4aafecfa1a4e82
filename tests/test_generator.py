"""The notebooks in chapters/ say what the sources in book/ say, in plain Markdown."""

import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import pytest
from jupyter_cache import get_cache
from l2g_book import caches, notebooks, project
from l2g_book.bibliography import read_bibliography
from markdown_it import MarkdownIt

FRONT = """\
---
jupytext:
  text_representation: {format_name: myst}
kernelspec: {name: python3, display_name: Python 3}
---
"""
LINES_BEFORE = FRONT.count("\n")

BIBLIOGRAPHY = r"""
@inproceedings{ho2015, author = {Ho, Ada B. and van der Lee, Jo}, title = {{D}rop $\ell_1$ \& more},
  booktitle = {Proc. X}, pages = {1--9}, year = {2015}, url = {https://a.org/h}}
@article{many2003, author = {{\"O}zg{\"u}r, {\c{C}}i{\u{g}}dem and Le{\'o}n Bo and {Some Group}},
  title = {a*b?}, journal = {J. Y}, volume = {3}, number = {2}, year = {2003},
  doi = {10.1/x(1)}}
@book{solo2020, author = {Solo, Han and others}, title = {On One's Own}, publisher = {P},
  year = {2020}}
"""

SITE = "https://me.github.io/c"
HO = "https://a.org/h"
MANY = "https://doi.org/10.1/x%281%29"

SAMPLE = r"""
(start)=
# Softmax, once more: $p_i$

% Only for authors:
% not to be seen.

Code such as `` {eq}`eq:loss` `` stays, $a
\cdot b$ and \$5 too. \
The loss {eq}`eq:loss` is due to {footcite:t}`ho2015`, later
{footcite:p}`many2003, ho2015`.
See [the notation](notation.md#symbols), [the curve](#fig:curve),
[elsewhere](https://example.org/a_(b) "Title").

$$
\begin{aligned}
a &= b \\
c &= d
\end{aligned}
$$ (eq:loss)

```python
reference = "{eq}`eq:loss`"  # [x](nowhere.md)


print(reference)
```

```{code-cell} ipython3
---
tags: [hide-input]
mystnb:
  image: {alt: A falling curve.}
  figure: {caption: "The *loss* {eq}`eq:loss` in $x$.", name: "fig:curve"}
---
plot()
```

## Exercises

::::{admonition} Exercise 1: is $a < b$?
:class: exercise

Recall {eq}`eq:later` and

$$
a
= b  % a comment
$$

:::{admonition} Solution with `code` and $a<b$
:class: solution
- First

  ```python
  f()
  ```
- Second
:::
Then go on.
::::
> A plain quote, $a
> = b$:
>
> $$ c = d $$ (eq:later)

| Name | Meaning |
|---|---|
| `{eq}` | {eq}`eq:later` |
| [x](notation.md) | $x$ |

1. Open this.

   :::{admonition} A hint
   :class: tip dropdown
   Look at [](#start).
   :::
2. Done.

```{code-cell} ipython3
:tags: [solution, raises-exception]

raise ValueError
```

:::{quiz}
What does $x$ do in {eq}`eq:loss`?

- [ ] It *grows* by $5<6$, as `a<b`.

  Not in {eq}`eq:later`:

  $$
  a = b
  $$
- [x] It
  stays ({footcite:t}`solo2020`).

  Always.
:::

## References

```{footbibliography}
```
"""

SEEN = rf"""# Softmax, once more: $p_i$

Code such as `` {{eq}}`eq:loss` `` stays, $a \cdot b$ and \$5 too. \
The loss (1) is due to [Ho and van der Lee (2015)]({HO}), later
([Özgür et al., 2003]({MANY}); [Ho and van der Lee, 2015]({HO})).
See [the notation]({SITE}/notation.html#symbols), [the curve]({SITE}/07_sample.html#fig-curve),
[elsewhere](https://example.org/a_(b) "Title").

$$
\begin{{aligned}}
a &= b \\
c &= d
\end{{aligned}} \tag{{1}}
$$

```python
reference = "{{eq}}`eq:loss`"  # [x](nowhere.md)


print(reference)
```
-----
# @title Code
plot()
-----
*The *loss* (1) in $x$.*
-----
## Exercises

> **Exercise 1: is $a < b$?**
>
> Recall (2) and
>
> $$ a = b $$
>
> <details>
> <summary><b>Solution with <code>code</code> and $a\lt b$</b></summary>
>
> - First
>
>   ```python
>   f()
>   ```
> - Second
>
> </details>
>
> Then go on.

> A plain quote, $a = b$:
>
> $$ c = d \tag{{2}} $$

| Name | Meaning |
|---|---|
| `{{eq}}` | (2) |
| [x]({SITE}/notation.html) | $x$ |

1. Open this.

   <details>
   <summary><b>A hint</b></summary>

   Look at [Softmax, once more: $p_i$]({SITE}/07_sample.html#start).

   </details>

2. Done.
-----
# @title Solution
raise ValueError
-----
<details open>
<summary><b>Question</b></summary>

What does $x$ do in (1)?

<details>
<summary>It <em>grows</em> by $5\lt 6$, as <code>a&lt;b</code>.</summary>

✗ Not quite.

Not in (2):

$$
a = b
$$

</details>

<details>
<summary>It stays (Solo et al. (2020)).</summary>

✓ Right.

Always.

</details>

</details>
-----
## References

- Ada B. Ho and Jo van der Lee (2015). “Drop $\ell _1$ & more”. *Proc. X*, 1–9. [a.org/h]({HO})
- Çiğdem Özgür, León Bo and Some Group (2003). “a\*b?” *J. Y*, 3(2). [doi.org/10.1/x%281%29]({MANY})
- Han Solo and others (2020). *On One's Own*. P."""


@pytest.fixture
def root(tmp_path):
    """A course of one chapter, 07_sample."""
    (tmp_path / "book").mkdir()
    address = "https://github.com/me/c"
    (tmp_path / "pyproject.toml").write_text(f'[project.urls]\nRepository = "{address}"\n')
    (tmp_path / "book/references.bib").write_text(BIBLIOGRAPHY)
    (tmp_path / "book/notation.md").write_text("# Notation\n")
    write_chapter(tmp_path, SAMPLE)
    return tmp_path


def write_chapter(root, text, name="07_sample"):
    (root / f"book/{name}.md").write_text(FRONT + text, encoding="utf-8")


def cells(root, name="07_sample"):
    notebook = json.loads(notebooks.generate(root)[f"{name}.ipynb"])
    return [cell | {"source": "".join(cell["source"])} for cell in notebook["cells"]]


def converted(root, text):
    """What a chapter with this text shows, after its badge and its install cell."""
    write_chapter(root, text)
    return "\n-----\n".join(cell["source"] for cell in cells(root)[2:])


def files(root):
    return {path.name: path.read_bytes() for path in (root / "chapters").glob("*")}


# ---- what a reader sees


def test_every_construct_becomes_plain_markdown(root):
    assert converted(root, SAMPLE) == SEEN


def test_notebook_opens_with_links_and_its_source(root):
    head = cells(root)[0]
    assert head["cell_type"] == "markdown"
    colab = "https://colab.research.google.com/github/me/c/blob/main/chapters/"
    assert f"]({colab}07_sample.ipynb)" in head["source"]
    assert f"({SITE}/07_sample.html)" in head["source"]
    assert "generated from `book/07_sample.md`" in head["source"]


@pytest.mark.parametrize(
    ("source", "seen"),
    [
        ("One\n% gone\nTwo", "One\n\nTwo"),
        ("One\n\n% gone\n\n(gone)=\n\nTwo", "One\n\nTwo"),
        ("    \n\nText \\\nbroken", "Text \\\nbroken"),
        ("Setext\n======\n\nText", "Setext\n======\n\nText"),
        ("# A\n\n## B\n\ntext\n\n### C", "# A\n-----\n## B\n\ntext\n-----\n### C"),
        ("* [a](https://b.org)\n+ <https://c.org>", "* [a](https://b.org)\n+ <https://c.org>"),
        (r"`\` {eq}`a` `{eq}`" + "\n\n$$ x $$ (a)", r"`\` (1) `{eq}`" + "\n\n$$ x \\tag{1} $$"),
        ("$`{eq}`$ \\{eq}`a`", "$`{eq}`$ \\{eq}`a`"),
        ("$$x$$ (a)\n\n$$y$$\n\n$$z$$ (b)", "$$x \\tag{1}$$\n\n$$y$$\n\n$$z \\tag{2}$$"),
        ("- a\n\n  $$\n  x\n  $$ (b)", "- a\n\n  $$\n  x \\tag{1}\n  $$"),
        ("$$\nx\n$$\ntext", "$$\nx\n$$\ntext"),
        (
            "> $a % gone\n> \\\\% gone\n> = 5\\%$ $b % c$\n",
            "> $a \\\\ = 5\\%$ $b % c$",
        ),
        ("````\n```\n````", "````\n```\n````"),
        ("~~~text\n:::\n~~~", "~~~text\n:::\n~~~"),
        (
            "(t)=\n## A `b`\n\n(u)=\ntext [](#t), [u](#u)",
            f"## A `b`\n\ntext [A `b`]({SITE}/07_sample.html#t), [u]({SITE}/07_sample.html#u)",
        ),
        ("- a\n\n  > b\n  > c\n- d", "- a\n\n  > b\n  > c\n- d"),
        ("text\n:::{admonition} T\nA\n:::\ntext", "text\n\n> **T**\n>\n> A\n\ntext"),
        (
            "```{admonition} T\n---\nclass: note solution\n---\nA\n```",
            "<details>\n<summary><b>T</b></summary>\n\nA\n\n</details>",
        ),
        (
            ":::::{admonition} A\n\n::::{admonition} B\n:class: tip\n\n:::{admonition} C\n"
            ":class: dropdown\nc\n:::\n::::\n:::::",
            "> **A**\n>\n> > **B**\n> >\n> > <details>\n> > <summary><b>C</b></summary>\n> >\n"
            "> > c\n> >\n> > </details>",
        ),
        (
            "a\n\n:::{predict} my-guess\nHow *large*,\nin $x$?\n\n- small\n- as\n  $y$\n:::",
            "a\n\n> **Predict**\n>\n> How *large*,\n> in $x$?\n>\n> - **a)** small\n"
            "> - **b)** as\n>   $y$",
        ),
        (
            "::::{admonition} A\n:class: dropdown\n\n:::{belief} b\n“It is so.”\n\n- no choice\n\n"
            "Why?\n:::\n::::",
            "<details>\n<summary><b>A</b></summary>\n\n> **Belief**\n>\n> “It is so.”\n>\n"
            "> - no choice\n>\n> Why?\n\n</details>",
        ),
    ],
)
def test_construct(root, source, seen):
    assert converted(root, source) == seen


@pytest.mark.parametrize(
    ("role", "seen"),
    [
        (
            "{footcite:t}`solo2020,ho2015`",
            f"Solo et al. (2020) and [Ho and van der Lee (2015)]({HO})",
        ),
        ("{footcite:p}`solo2020`", "(Solo et al., 2020)"),
        ("{footcite:p}`ho2015`", f"([Ho and van der Lee, 2015]({HO}))"),
    ],
)
def test_citation(root, role, seen):
    assert converted(root, f"{role}\n\n```{{footbibliography}}\n```").startswith(f"{seen}\n\n- ")


def test_bibliography_lists_in_the_order_of_first_citation(root):
    text = "{footcite:t}`solo2020` {footcite:t}`ho2015` {footcite:t}`solo2020`"
    *_, listed = converted(root, f"{text}\n\n```{{footbibliography}}\n```").split("\n\n")
    assert [line.split(" (")[0] for line in listed.splitlines()] == [
        "- Han Solo and others",
        "- Ada B. Ho and Jo van der Lee",
    ]


class Outline(HTMLParser):
    """Counts the elements of a page by their paths from its root."""

    def __init__(self):
        super().__init__()
        self.open, self.count = [], Counter()

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.count[" ".join(self.open)] += 1

    def handle_startendtag(self, tag, attrs):
        """An image holds nothing."""

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_folds_nest_and_hold_markdown_when_rendered(root):
    """Read by CommonMark alone, without any MyST."""
    page = "\n\n".join(c["source"] for c in cells(root) if c["cell_type"] == "markdown")
    outline = Outline()
    outline.feed(MarkdownIt("commonmark").render(page))
    assert outline.open == []
    assert outline.count["blockquote details"] == 1
    assert outline.count["blockquote details ul li pre code"] == 1
    assert outline.count["ol li details p"] == 1
    assert outline.count["details details"] == 2
    assert outline.count["details details p"] == 5
    assert outline.count["details details summary em"] == 1


# ---- code cells

FORM = {"cellView": "form", "jupyter": {"source_hidden": True}}


@pytest.mark.parametrize(
    ("tags", "metadata", "title"),
    [
        ([], {}, ""),
        (["stub"], {}, ""),
        (["raises-exception"], {}, ""),
        (["hide-input"], FORM, "# @title Code\n"),
        (["remove-input"], FORM, "# @title Code\n"),
        (["hide-cell", "stub"], FORM, "# @title Code\n"),
        (["solution"], FORM, "# @title Solution\n"),
        (["hide-input", "solution"], FORM, "# @title Solution\n"),
        (["claims"], FORM, "# @title Check\n"),
    ],
)
def test_tags_stay_and_fold(root, tags, metadata, title):
    option = f":tags: [{', '.join(tags)}]\n" if tags else ""
    write_chapter(root, f"```{{code-cell}} ipython3\n{option}\na = 1\n\n\nb = 2\n```\n")
    cell = cells(root)[2]
    assert cell["metadata"] == metadata | ({"tags": tags} if tags else {})
    assert cell["source"] == f"{title}a = 1\n\n\nb = 2"


def test_install_cell_installs_l2g_alone_when_it_is_missing(root, monkeypatch):
    calls = []
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(subprocess, "check_call", calls.append)
    exec(cells(root)[1]["source"], {})
    package = "l2g @ git+https://github.com/me/c"
    assert calls == [[sys.executable, "-m", "pip", "install", "-q", "--no-deps", package]]


def test_install_cell_stops_the_notebook_when_it_fails(root, monkeypatch):
    def fail(command):
        raise subprocess.CalledProcessError(1, command)

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(subprocess, "check_call", fail)
    with pytest.raises(subprocess.CalledProcessError):
        exec(cells(root)[1]["source"], {})


def test_install_cell_does_nothing_when_l2g_is_there(root, monkeypatch):
    asked = []
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: asked.append(name) or object())
    monkeypatch.setattr(subprocess, "check_call", lambda command: pytest.fail("installed anyway"))
    exec(cells(root)[1]["source"], {})
    assert asked == ["l2g"]


class Colab:
    """A Python with pip and torch, but without l2g, in which no address but `repository` answers.

    Its packages lie in a folder of links outside of it: what pip installs is all that is inside.
    """

    def __init__(self, folder, repository):
        subprocess.check_call([sys.executable, "-m", "venv", "--without-pip", folder / "env"])
        self.python = folder / "env/bin/python"
        (self.packages,) = (folder / "env/lib").glob("python*/site-packages")
        links = folder / "links"
        links.mkdir()
        for path in Path(importlib.util.find_spec("torch").origin).parents[1].iterdir():
            if "l2g" not in path.name and path.suffix != ".pth":
                (links / path.name).symlink_to(path)
        (self.packages / "links.pth").write_text(f"{links}\n")
        self.environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": f"url.{repository.as_uri()}.insteadOf",
            "GIT_CONFIG_VALUE_0": "https://github.com/me/c",
        }

    def run(self, code):
        command = [self.python, "-c", code]
        return subprocess.run(
            command, cwd=self.packages, env=self.environment, capture_output=True, text=True
        )

    def installed(self):
        return sorted(path.name.split("-")[0] for path in self.packages.iterdir())


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """A repository with this package, whose version is "released" at the tag v9.1, then "main"."""
    folder = tmp_path_factory.mktemp("repository")

    def git(*arguments):
        who = ["-c", "user.name=A", "-c", "user.email=a@b.org", "-c", "commit.gpgsign=false"]
        subprocess.check_call(["git", *who, *arguments], cwd=folder)

    git("init", "-q", "-b", "main")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(project.ROOT / name, folder)
    shutil.copytree(project.ROOT / "src", folder / "src")
    (folder / "results").mkdir()
    (folder / "results/record.json").write_text("{}")
    for version in ("released", "main"):
        with (folder / "src/l2g/__init__.py").open("a") as file:
            file.write(f"\n__version__ = {version!r}\n")
        git("add", ".")
        git("commit", "-q", "-m", version)
        if version == "released":
            git("tag", "v9.1")
    return folder


LOOK = """
import importlib.util, l2g, json
origin = importlib.util.find_spec("torch").origin
print(json.dumps([l2g.__version__, l2g.__file__, origin]))
"""


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
@pytest.mark.skipif(importlib.util.find_spec("pip") is None, reason="pip is not installed")
@pytest.mark.parametrize(("ref", "version"), [("main", "main"), ("v9.1", "released")])
def test_setup_cell_installs_the_package_and_leaves_torch_alone(
    root, tmp_path, repository, ref, version
):
    release(root, ref)
    setup = cells(root)[1]["source"]
    colab = Colab(tmp_path, repository)
    assert "No module named 'l2g'" in colab.run(LOOK).stderr
    done = colab.run(setup + LOOK)
    assert done.returncode == 0, done.stderr
    found, package, torch = json.loads(done.stdout.splitlines()[-1])
    assert found == version
    assert Path(package).parents[1] == colab.packages
    assert Path(torch).is_relative_to(tmp_path / "links")
    assert set(colab.installed()) - {"__pycache__"} == {"l2g", "links.pth"}
    assert (colab.packages / "l2g/study/results/record.json").exists()
    colab.environment["PATH"] = ""  # once it is there, nothing is called
    assert colab.run(setup).returncode == 0


def release(root, ref):
    """Says in pyproject.toml that this is version 9.1, whose notebooks lead to `ref`."""
    text = (root / "pyproject.toml").read_text()
    version = '[project]\nversion = "9.1"\n'
    (root / "pyproject.toml").write_text(f'{version}{text}[tool.l2g]\nref = "{ref}"\n')


def test_notebooks_of_a_release_lead_to_its_tag(root):
    release(root, "v9.1")
    head, setup = [cell["source"] for cell in cells(root)[:2]]
    assert "/me/c/blob/v9.1/chapters/07_sample.ipynb" in head
    assert '"l2g @ git+https://github.com/me/c@v9.1"' in setup


def test_tag_of_another_version_is_refused(root, capsys):
    release(root, "v9.0")
    assert notebooks.main([], root) == 1
    message = "pyproject.toml: ref must be 'main' or 'v9.1', got 'v9.0'\n"
    assert capsys.readouterr().err == message


# ---- what is refused, and where

CELL = "```{code-cell} ipython3\n"
QUIZ = ":::{quiz}\nWhy?\n\n- [ ] A\n\n  No.\n- [x] B\n\n  Yes.\n:::"


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (
            "a\n\n:::{note}\nb\n:::",
            3,
            "unknown directive {note}; allowed: admonition, belief, code-cell, foot",
        ),
        ("a\n:::\nb\n:::", 2, "names no directive"),
        ("::::{admonition} A\n\n:::{glue} b\n:::\n::::", 3, "unknown directive {glue}"),
        ("> a\n>\n> :::{note}\n> b\n> :::", 3, "unknown directive {note}"),
        ("a\n\n:::{admonition}\nb\n:::", 3, "an admonition has a title"),
        (":::{admonition} A\n:class: tip danger\n:::", 1, "'danger'; allowed: dropdown, exercise,"),
        (
            ":::{admonition} A\n:name: b\n:::",
            1,
            "unknown option of {admonition} 'name'; allowed: cl",
        ),
        (":::{admonition} A\n:class\n:::", 1, "takes options as 'name: value', got 'class'"),
        (":::{admonition} A\n---\nclass: tip\n:::", 2, "never end with ---"),
        (":::{admonition} A\n:class: [\n:::", 2, "not YAML"),
        ("a\n\n:::{admonition} A {eq}`no`\n:::", 3, "'no'"),
        (":::{admonition} A\n:class: tip\n\na\n{eq}`no`\n:::", 5, "'no'"),
        ("a\n\n:::{admonition} A\nb", 3, "the fence :::{admonition} A is never closed"),
        (":::{admonition} A\n:::{admonition} B\nb\n:::\n:::", 5, "the fence ::: is never closed"),
        ("::::{admonition} A\n:::{admonition} B\nb\n:::\n::::", 2, "after a blank line"),
        ("a\n\n```python\nb", 3, "the fence ```python is never closed"),
        (f"```python\nb\n\n{CELL}c\n```", 1, "never closed, or swallows ```{code-cell} ipython3"),
        (f"{CELL}a\n\n{CELL}c\n```", 1, "swallows ```{code-cell} ipython3"),
        (f"- a\n\n  {CELL}  b\n  ```", 3, "a code cell stands at the top level"),
        (f":::{{admonition}} A\n{CELL}b\n```\n:::", 2, "a code cell stands at the top level"),
        ("```{code-cell}\nb\n```", 1, "```{code-cell} ipython3"),
        (f"a\n\n{CELL}:tags: hide-input\n\nb\n```", 3, ":tags: is a [list]"),
        (
            f"{CELL}:tags: [hidden]\n\nb\n```",
            1,
            "unknown tag 'hidden'; allowed: claims, deeper, hide-cell, hide-in",
        ),
        (
            f"{CELL}:load: a.py\n```",
            1,
            "unknown option of {code-cell} 'load'; allowed: mystnb, tags",
        ),
        (
            f"{CELL}---\nmystnb: {{glue: a}}\n---\n```",
            1,
            "option of mystnb 'glue'; allowed: figure",
        ),
        (f"{CELL}---\nmystnb: {{figure: {{width: 1}}}}\n---\n```", 1, "allowed: caption, name"),
        (f"{CELL}---\nmystnb: {{figure: a}}\n---\n```", 1, "figure takes options"),
        ("a\nb {ref}`c`", 2, "unknown role {ref}; allowed: eq, footcite:p, footcite:t"),
        ("- a\n- {glue:text}`c`", 2, "unknown role {glue:text}"),
        ("| a |\n|---|\n| b |\n| {ref}`c` |", 4, "unknown role {ref}"),
        ("a\nb {eq}`eq:none`", 2, "no equation of this page has the label 'eq:none'"),
        ("a\n\n$$ a $$ (b)\n\n$$ c $$ (b)", 5, "the equation label 'b' is given twice"),
        ("(a)=\n# A\n\n(A)=\n# B", 4, "the label 'a' is given twice, first in line 6"),
        ("a\n{footcite:t}`ho2015,nobody`", 2, "book/references.bib has no work 'nobody'"),
        ("a {footcite:t}`ho2015`\n", 2, "citations need a {footbibliography}"),
        ("a\n\nb [c](missing.md#d)", 3, "leads to 'missing.md#d'; allowed: a page of book/"),
        ("a\n[c](notation.html)", 2, "leads to 'notation.html'"),
        ("a\n[c](<notation.md>)", 2, "leads to '<notation.md>'"),
        ("a\n[c](#d)", 2, "this page has no target (d)="),
        ("a\n[](notation.md)", 2, "a link needs a text"),
        ("a\n[b][c]\n\n[c]: https://d.org", 4, "a reference link"),
        ("a\n<project:#b>", 2, "anything but an http(s) address"),
        ("a\n\n<div>b</div>", 3, "raw HTML"),
        ("a\n\n<!-- b -->", 3, "raw HTML"),
        ("a\nb <br> c", 2, "raw HTML"),
        ("a\n![b](c.png)", 2, "an image"),
        ("a\n\n    b", 3, "an indented code block"),
        ("a\n\n\\begin{align}\nb\n\\end{align}", 3, "an environment outside of a formula"),
        (
            "a\n\n$$\n\\begin{align*}\nb\n\\end{align*}\n$$",
            3,
            r"\begin{align} inside of $$; allowed",
        ),
        ("a\n\n$$\nb\n\nc\n$$", 3, "a blank line inside of a formula"),
        ("a\nb $$c$$ d", 2, "$$ inside a paragraph"),
        ("a\n$$\nc\n$$", 2, "$$ inside a paragraph; display formulas come after a blank"),
        ("a\nb `$` $c$\nd costs $5", 3, "a dollar without its partner"),
        ("a\n\n$$\nb", 3, "a dollar without its partner"),
        ("| a |\n|---|\n| $|x|$ |", 3, "a dollar without its partner"),
        ("a\n\n{{ b }}", 3, "a substitution"),
        ("a\nb {{ c }}", 2, "a substitution"),
        ("a [^b]\n\n[^b]: c", 1, "a footnote"),
        ("a\n\n+++\n\nb", 3, "a cell break"),
        ("a\n\n:::{quiz} Title" + QUIZ[9:], 3, "a quiz is a question, then a list of answers"),
        (QUIZ.replace("Why?", ""), 1, "a quiz is a question, then a list of answers"),
        (":::{quiz}\nWhy?\n:::", 1, "a quiz is a question, then a list of answers"),
        (QUIZ.replace("Yes.\n", "Yes.\n\nMore.\n"), 1, "a quiz is a question, then a list of"),
        (QUIZ.replace("[ ]", "[x]"), 1, "exactly one right answer"),
        (QUIZ.replace("[x]", "[ ]"), 1, "exactly one right answer"),
        (QUIZ.replace("[x] ", ""), 7, "an answer starts with '- [ ] ' or '- [x] '"),
        (QUIZ.replace("\n\n  Yes.", ""), 7, "an indented paragraph explains the answer"),
        (QUIZ.replace("Yes.", "Yes,\n  {eq}`no`."), 10, "'no'"),
        ("a\n\n:::{predict}\nb?\n:::", 3, "{predict} needs a name of a-z, 0-9 and single hyphens"),
        (
            ":::{belief} My_belief\n“b”\n:::",
            1,
            "{belief} needs a name of a-z, 0-9 and single hyphens",
        ),
        (":::{predict} a\n- b\n- c\n:::", 1, "{predict} is a question, then two options or more"),
        (":::{predict} a\nb?\n\n- c\n:::", 1, "{predict} is a question, then two options or more"),
        (":::{predict} a\nb?\n\n- c\n- {eq}`no`\n:::", 5, "'no'"),
    ],
)
def test_unknown_construct_stops_with_its_line(root, capsys, text, line, message):
    write_chapter(root, text, "08_wrong")
    assert notebooks.main([], root) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"book/08_wrong.md:{LINES_BEFORE + line}: ")
    assert message in error
    assert not (root / "chapters").exists()


NAMED_TWICE = [
    ("$$ a $$ (eq:loss)", "the equation label 'eq:loss'"),
    ("(start)=\n# Start", "the label 'start'"),
    ("(Start)=\n# Start", "the label 'start'"),
    (
        "```{code-cell} ipython3\n---\nmystnb: {figure: {name: start, caption: C}}\n---\nf()\n```",
        "the label 'start'",
    ),
]


@pytest.mark.parametrize(("text", "name"), NAMED_TWICE)
def test_label_that_two_chapters_give_stops_with_both_places(root, capsys, text, name):
    write_chapter(root, "\n" + text, "08_other")
    assert notebooks.main([], root) == 1
    line = 1 + SAMPLE.split("\n").index("(start)=" if "start" in name else "$$")
    here = f"book/08_other.md:{LINES_BEFORE + 2}"
    first = f"book/07_sample.md:{LINES_BEFORE + line}"
    assert capsys.readouterr().err == f"{here}: {name} is given twice, first at {first}\n"
    assert not (root / "chapters").exists()


def test_label_and_equation_of_the_same_name_do_not_clash(root):
    write_chapter(root, "(eq:loss)=\n# Loss\n\n$$ a $$ (start)", "08_other")
    assert "08_other.ipynb" in notebooks.generate(root)


def test_chapter_without_front_matter_is_refused(root):
    (root / "book/07_sample.md").write_text("# Title\n")
    with pytest.raises(ValueError, match=r"book/07_sample.md:1: .* front matter"):
        notebooks.generate(root)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("@misc{a, title = {T}, year = {1}}", "a: a work needs author"),
        ("@misc{a, author = {B}, title = {T}}", "a: a work needs author"),
        (r"@misc{a, author = {B}, title = {\foo{T}}, year = 1}", r"a: the LaTeX command \\foo"),
        ("@misc{a, author = {B}", "syntax error"),
    ],
)
def test_unreadable_bibliography_is_refused(root, entry, message):
    path = root / "book/references.bib"
    path.write_text(entry)
    with pytest.raises(ValueError, match=rf"^book/references.bib: .*{message}"):
        read_bibliography(path)


def test_missing_bibliography_is_one_sentence(root, capsys):
    (root / "book/references.bib").unlink()
    assert notebooks.main([], root) == 1
    assert "references.bib" in capsys.readouterr().err


# ---- files


def test_notebook_is_valid_and_named_for_colab(root):
    notebook = nbformat.reads(notebooks.generate(root)["07_sample.ipynb"].decode(), as_version=4)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert notebook.metadata.kernelspec.name == "python3"
    assert notebook.metadata.colab == {"name": "07_sample.ipynb", "toc_visible": True}
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids)


def test_bytes_are_the_same_in_every_process(root):
    script = (
        "import hashlib, pathlib, sys; from l2g_book.notebooks import generate;"
        "root = pathlib.Path(sys.argv[1]);"
        "print(*(hashlib.sha256(content).hexdigest() for content in generate(root).values()))"
    )
    path = str(project.ROOT / "book/_ext")
    printed = []
    for seed in "12":
        environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": path}
        command = [sys.executable, "-c", script, str(root)]
        printed.append(subprocess.check_output(command, env=environment, text=True).strip())
    here = hashlib.sha256(notebooks.generate(root)["07_sample.ipynb"]).hexdigest()
    assert printed == [here, here]


def test_file_is_readable_text(root):
    notebooks.main([], root)
    content = files(root)["07_sample.ipynb"].decode()
    assert content.startswith('{\n "cells": [\n')
    assert content.endswith("}\n")
    assert "✓ Right." in content


@pytest.mark.parametrize("state", ["missing", "stale", "orphaned"])
def test_check_names_what_is_not_current_and_writes_nothing(root, capsys, state):
    write_chapter(root, "# Another\n", "08_other")
    assert notebooks.main([], root) == 0
    assert notebooks.main(["--check"], root) == 0
    current = files(root)
    capsys.readouterr()

    name = "09_gone.ipynb" if state == "orphaned" else "08_other.ipynb"
    if state == "missing":
        (root / "chapters" / name).unlink()
    else:
        (root / "chapters" / name).write_text("{}")
    before = files(root)
    assert notebooks.main(["--check"], root) == 1
    assert capsys.readouterr().out == f"chapters/{name}: {state}; run: make notebooks\n"
    assert files(root) == before

    assert notebooks.main([], root) == 0
    assert files(root) == current


def test_check_of_a_course_without_notebooks_makes_no_folder(root):
    assert notebooks.main(["--check"], root) == 1
    assert not (root / "chapters").exists()


def test_failed_write_leaves_the_old_notebook_and_no_other_file(root, monkeypatch):
    notebooks.main([], root)
    before = files(root)
    write_chapter(root, "# Changed\n")

    def fail(path, content):
        raise OSError("the disk is full")

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(OSError, match="full"):
        notebooks.main([], root)
    assert files(root) == before


def test_current_notebooks_are_not_written_again(root):
    notebooks.main([], root)
    path = root / "chapters/07_sample.ipynb"
    os.utime(path, ns=(1, 1))
    notebooks.main([], root)
    assert path.stat().st_mtime_ns == 1


def test_handouts_hold_no_solution_and_leave_other_files_alone(root, capsys):
    folder = root / "class/handouts"
    folder.mkdir(parents=True)
    mine = folder / "mine.ipynb"
    mine.write_text("{}")
    assert notebooks.main(["--without-solutions", str(folder)], root) == 0
    assert capsys.readouterr().out == "handouts/07_sample.ipynb: missing; written\n"
    assert mine.read_text() == "{}"
    assert not (root / "chapters").exists()
    whole, handout = (
        nbformat.reads(notebooks.generate(root, solutions=s)["07_sample.ipynb"].decode(), 4)
        for s in (True, False)
    )
    assert (folder / "07_sample.ipynb").read_bytes() == notebooks.generate(root, solutions=False)[
        "07_sample.ipynb"
    ]
    kept = [cell.source for cell in handout.cells]
    gone = [cell for cell in whole.cells if cell.source not in kept]
    assert any("solution" in cell.metadata.get("tags", []) for cell in gone)
    assert all(
        "solution" in cell.metadata.get("tags", []) or "<details>" in cell.source for cell in gone
    )
    assert any("Exercise 1" in text and "Then go on." in text for text in kept)


# ---- the course itself


def test_notebooks_of_the_course_are_current(tmp_path):
    """Called as the Makefile calls it, from another folder."""
    script = project.ROOT / "book/_ext/l2g_book/notebooks.py"
    command = [sys.executable, str(script), "--check"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert list(tmp_path.iterdir()) == []


def test_every_chapter_has_a_valid_notebook():
    for path in project.chapter_sources():
        notebook = nbformat.read(project.ROOT / "chapters" / f"{path.stem}.ipynb", as_version=4)
        nbformat.validate(notebook)


@pytest.mark.parametrize("path", project.chapter_sources(), ids=lambda path: path.stem)
def test_cells_of_each_notebook_are_those_that_the_build_executed(path):
    """So `make test` need not run the notebooks once more; their Setup cell is tried above."""
    if not (project.ROOT / "book/_build/html/index.html").exists():
        pytest.skip("the book is not built: run make book")
    notebook = nbformat.read(project.ROOT / "chapters" / f"{path.stem}.ipynb", as_version=4)
    setup, *notebook.cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert setup.source == notebooks.opening(path.stem, project.ROOT)[1]["source"]
    for cell in notebook.cells:
        cell.source = re.sub(r"^# @title (Check|Code|Solution)\n", "", cell.source)
    page = caches.Page(path.stem, path, notebook)
    folder = caches.CACHES / path.stem / page.state(caches.whole_package())
    assert folder.exists(), "the book was built with another package: run make book"
    cache = get_cache(str(folder))
    executed = [cache.get_cache_bundle(record.pk).nb for record in cache.list_cache_records()]
    shown = [cell.source for cell in notebook.cells]
    same = [nb.cells for nb in executed if [cell.source for cell in nb.cells] == shown]
    assert same, "the book was built from another chapter: run make book"
    for number, cell in enumerate(same[0], 1):
        assert cell.execution_count == number
        failed = any(output.output_type == "error" for output in cell.outputs)
        assert failed == ("raises-exception" in cell.metadata.get("tags", []))


def test_addresses_derive_from_pyproject(root):
    assert Path(__file__).parent == project.ROOT / "tests"
    assert project.repository_url(root) == "https://github.com/me/c"
    assert project.repository_slug(root) == "me/c"
    assert project.site_url(root) == "https://me.github.io/c/"
    assert project.colab_url("07_sample", root) == (
        "https://colab.research.google.com/github/me/c/blob/main/chapters/07_sample.ipynb"
    )
    assert [path.name for path in project.chapter_sources(root)] == ["07_sample.md"]


def test_address_that_is_not_on_github_is_refused(root):
    (root / "pyproject.toml").write_text('[project.urls]\nRepository = "https://example.org/a/b"\n')
    with pytest.raises(ValueError, match=r"https://github\.com/OWNER/REPO"):
        project.repository_url(root)
