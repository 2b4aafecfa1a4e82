"""Turns the MyST of a page into Markdown that Colab and JupyterLab show by themselves."""

import re
from string import ascii_lowercase

from markdown_it import MarkdownIt
from markdown_it.token import Token
from mdit_py_plugins.dollarmath import dollarmath_plugin

from .page import Page, one_line
from .source import NAME, Directive, SourceError, parse, read_directive, refuse_others

CLASSES = {"note", "tip", "warning", "objectives", "predict", "misconception", "takeaway"}
CLASSES |= {"exercise", "solution", "dropdown"}
FOLDED = {"solution", "dropdown"}
NUMBERED = re.compile(r"\\begin\{(align|alignat|equation|gather|multline|eqnarray)\*?\}")
ANSWER = re.compile(r"(\s*[-*+]\s+)\[([ x])\]\s+")

HTML = MarkdownIt("commonmark").use(dollarmath_plugin)
HTML.add_render_rule("math_inline", lambda _, tokens, i, *__: tag_free(tokens[i].content))


def convert(page: Page, text: str, first: int, quoted: bool = False) -> str:
    """Converts text without code cells that starts at line `first` of the page's source.

    Raises:
        SourceError: a construct is unknown, or refers to something that does not exist.
    """
    lines = text.split("\n")
    done: list[str] = []
    position = 0
    for token in parse(text, first):
        if not token.map or token.map[0] < position:
            continue  # a part of the block before, such as the second cell of a table's row
        start, end = token.map
        block = convert_block(page, token, lines[start:end], first + start, quoted)
        if block is None:
            continue
        done += lines[position:start]
        done += block if done and done[-1].strip() else drop_blank(block)
        position = end
        if not block[-1]:
            position = len(lines) - len(drop_blank(lines[end:]))
    return "\n".join(done + lines[position:]).strip("\n")


def drop_blank(lines: list[str]) -> list[str]:
    return lines[next((i for i, line in enumerate(lines) if line.strip()), len(lines)) :]


def convert_block(
    page: Page, token: Token, raw: list[str], line: int, quoted: bool
) -> list[str] | None:
    """Converts one block; None if only its parts need to be, [""] if it vanishes."""
    match token.type:
        case "inline":
            return page.inline("\n".join(raw), line).split("\n")
        case "math_block" | "math_block_label":
            return display(page, token, "\n".join(raw), line, quoted).split("\n")
        case "blockquote_open":
            prefix = raw[0][: raw[0].index(">")]
            inner = [re.sub(r"^\s*> ?", "", text.removeprefix(prefix)) for text in raw]
            return placed(quote(convert(page, "\n".join(inner), line, True)), prefix)
        case "fence" | "colon_fence":
            directive = read_directive(token, line)
            if directive is None:
                return raw
            prefix = raw[0][: raw[0].index(token.markup)]
            return ["", *placed(show(page, directive, line, quoted), prefix), ""]
        case "front_matter" | "myst_target" | "myst_line_comment":
            return [""]
    return None


def placed(text: str, prefix: str) -> list[str]:
    """Puts lines where they stood: after a list's marker, or below it."""
    first, *others = text.split("\n")
    return [prefix + first, *(line and " " * len(prefix) + line for line in others)]


def quote(text: str) -> str:
    return "\n".join(f"> {line}".rstrip() for line in text.split("\n"))


def details(summary: str, body: str, state: str = "") -> str:
    return f"<details{state}>\n<summary>{summary}</summary>\n\n{body}\n\n</details>"


def html(markdown: str) -> str:
    """Renders what stands in a <summary>, but for formulas, which Jupyter finds there too."""
    return str(HTML.renderInline(markdown.replace("\n", " ")))


def tag_free(formula: str) -> str:
    return "$" + formula.replace("<", r"\lt ").replace(">", r"\gt ") + "$"


def display(page: Page, token: Token, raw: str, line: int, quoted: bool) -> str:
    """A displayed formula; a label becomes its number."""
    if numbered := NUMBERED.search(token.content):
        raise SourceError(
            line, rf"\begin{{{numbered[1]}}} inside of $$; allowed: aligned, with a label after $$"
        )
    if re.search(r"\n\s*\n", token.content.strip()):
        raise SourceError(line, "a blank line inside of a formula, which Jupyter does not allow")
    if token.info:
        tag = rf" \tag{{{page.equations[token.info]}}}"
        raw = re.sub(r"(\s*)\$\$\s*\([^()]*\)\s*$", lambda end: f"{tag}{end[1]}$$", raw)
    return one_line(raw) if quoted else raw


def show(page: Page, directive: Directive, line: int, quoted: bool) -> str:
    match directive.name:
        case "admonition":
            return admonition(page, directive, line, quoted)
        case "quiz":
            return quiz(page, directive, line, quoted)
        case "predict" | "belief":
            return question(page, directive, line)
        case "footbibliography":
            cited, page.cited = page.cited, []
            return "\n".join(f"- {page.works[key].entry()}" for key in cited)
    raise SourceError(line, "a code cell stands at the top level of the page, not inside of a box")


def admonition(page: Page, box: Directive, line: int, quoted: bool) -> str:
    classes = str(box.options.get("class", "")).split()
    refuse_others(classes, CLASSES, "class of an admonition", line)
    if not box.argument:
        raise SourceError(line, "an admonition has a title: :::{admonition} Title")
    if "solution" in classes and not page.solutions:
        return ""
    title = page.inline(box.argument, line)
    if FOLDED.isdisjoint(classes):
        return quote(f"**{title}**\n\n{convert(page, box.body, box.line, True)}")
    return details(f"<b>{html(title)}</b>", convert(page, box.body, box.line, quoted))


def question(page: Page, box: Directive, line: int) -> str:
    """A quoted block; its options, the items of a list at the end, get letters."""
    lines, items = last_list(box)
    asked = "\n".join(lines[: items[0][0]] if items else lines)
    if not asked.strip() or len(items) == 1:
        raise SourceError(line, f"{{{box.name}}} is a question, then two options or more, or none")
    if not NAME.fullmatch(box.argument):
        raise SourceError(line, f"{{{box.name}}} needs a name of a-z, 0-9 and single hyphens")
    for letter, (start, _) in zip(ascii_lowercase, items, strict=False):
        lines[start] = re.sub(r"[-*+]\s+", rf"\g<0>**{letter})** ", lines[start], count=1)
    body = convert(page, "\n".join(lines), box.line, True)
    return quote(f"**{box.name.capitalize()}**\n\n{body}")


def last_list(box: Directive) -> tuple[list[str], list[tuple[int, int]]]:
    """The lines of a box, and where the items of the list begin and end that it ends with."""
    tokens = parse(box.body, box.line)
    lines = box.body.split("\n")
    if not tokens or tokens[-1].type != "bullet_list_close":
        return lines, []
    start = max(i for i, t in enumerate(tokens) if t.type == "bullet_list_open" and not t.level)
    items = [t.map for t in tokens[start:] if t.map and t.type == "list_item_open" and t.level == 1]
    return lines, [(first, end) for first, end in items]


def quiz(page: Page, box: Directive, line: int, quoted: bool) -> str:
    """An open fold with the question and one fold for each answer with its explanation."""
    lines, items = last_list(box)
    asked = "\n".join(lines[: items[0][0]]) if items else ""
    if box.argument or not asked.strip():
        raise SourceError(line, "a quiz is a question, then a list of answers: '- [ ] ...'")
    question = convert(page, asked, box.line, quoted)
    answers = [answer(page, lines[a:b], box.line + a, quoted) for a, b in items]
    if sum(lines[a].lstrip("-*+ ").startswith("[x]") for a, _ in items) != 1:
        raise SourceError(line, "a quiz has exactly one right answer, marked '- [x]'")
    return details("<b>Question</b>", "\n\n".join([question, *answers]), " open")


def answer(page: Page, lines: list[str], line: int, quoted: bool) -> str:
    marker = ANSWER.match(lines[0])
    if not marker:
        raise SourceError(line, "an answer starts with '- [ ] ' or '- [x] '")
    indent = len(marker[1])
    body = [lines[0][marker.end() :]]
    body += [text[indent:] if text[:indent].isspace() else text.strip() for text in lines[1:]]
    text, _, explanation = "\n".join(body).partition("\n\n")
    if not explanation.strip():
        raise SourceError(line, "after a blank line, an indented paragraph explains the answer")
    summary = html(page.inline(text, line))
    explained = convert(page, explanation, line + text.count("\n") + 2, quoted)
    verdict = "✓ Right." if marker[2] == "x" else "✗ Not quite."
    return details(summary, f"{verdict}\n\n{explained}")
