"""Reads MyST with the site's own tokenizer, and refuses what the notebooks cannot show."""

import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import yaml
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from myst_parser.config.main import MdParserConfig
from myst_parser.parsers.mdit import create_md_parser

# amsmath and substitution are read only so that they can be refused.
EXTENSIONS = {"colon_fence", "dollarmath", "amsmath", "substitution"}
PARSER = create_md_parser(
    MdParserConfig(enable_extensions=EXTENSIONS, dmath_double_inline=True), RendererHTML
)

CONTAINERS = {"paragraph", "heading", "bullet_list", "ordered_list", "list_item", "blockquote"}
CONTAINERS |= {"table", "thead", "tbody", "tr", "th", "td", "em", "strong", "link"}
LEAVES = {"front_matter", "inline", "fence", "colon_fence", "hr", "math_block", "math_block_label"}
LEAVES |= {"myst_target", "myst_line_comment", "text", "softbreak", "hardbreak", "code_inline"}
LEAVES |= {"math_inline", "myst_role"}
KNOWN = LEAVES | {f"{name}_{end}" for name in CONTAINERS for end in ("open", "close")}
ADVICE = {
    "html_block": "raw HTML; write Markdown, and comments as '% ...'",
    "html_inline": "raw HTML; write Markdown, and comments as '% ...'",
    "image": "an image; draw it in a code cell, with its alt text in the cell's options",
    "code_block": "an indented code block; use a fence: ```python",
    "amsmath": r"an environment outside of a formula; use $$ with \begin{aligned} inside",
    "math_inline_double": "$$ inside a paragraph; display formulas come after a blank line",
    "substitution_block": "a substitution; glue and substitutions are not supported",
    "substitution_inline": "a substitution; glue and substitutions are not supported",
    "footnote_reference_open": "a footnote; put it in the text",
    "footnote_ref": "a footnote; put it in the text",
    "myst_block_break": "a cell break; new cells start at headings and code cells",
}

# What comes first in a text wins: an escape, code, or a formula.
ESCAPE = r"\\."
CODE = r"(?<!`)(?P<ticks>`+)(?!`).+?(?<!`)(?P=ticks)(?!`)"
FORMULA = r"\$(?:\\.|[^$\\])+\$"
DOLLARS = re.compile("|".join([ESCAPE, CODE, FORMULA]), re.DOTALL)

BOXES = {"admonition", "belief", "predict", "quiz"}
DIRECTIVES = BOXES | {"code-cell", "footbibliography"}
NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")  # of a question, as it stands in an address
FIGURE: dict[str, Any] = {"image": {"alt": {}}, "figure": {"caption": {}, "name": {}}}
OPTIONS: dict[str, Any] = {
    "admonition": {"class": {}},
    "code-cell": {"tags": {}, "mystnb": FIGURE},
}


class SourceError(ValueError):
    """What the generator cannot read, with its line in the chapter's source."""

    def __init__(self, line: int, message: str):
        super().__init__(message)
        self.line = line


class Directive(NamedTuple):
    """A directive whose body starts at `line` of the chapter's source."""

    name: str
    argument: str
    options: dict[str, Any]
    body: str
    line: int


def parse(text: str, first: int) -> list[Token]:
    """Splits `text`, which starts at line `first` of its file, into tokens that are all known.

    Raises:
        SourceError: a construct is unknown, or a fence is not closed.
    """
    env: dict[str, Any] = {}
    tokens = PARSER.parse(text, env)
    for reference in env.get("references", {}).values():
        raise SourceError(
            first + reference["map"][0], "a reference link; write the address: [text](address)"
        )
    lines = text.split("\n")
    for token in tokens:
        line = first + token.map[0] if token.map else first
        refuse_unknown(token, line)
        for child in token.children or []:
            refuse_unknown(child, line)
            line += child.type in {"softbreak", "hardbreak"}
        if token.type in {"fence", "colon_fence"}:
            refuse_unbalanced(token, lines, line)
        if token.type == "inline":
            refuse_unpaired(token.content, first + (token.map or [0])[0])
    return tokens


def refuse_unpaired(text: str, line: int) -> None:
    rest = DOLLARS.sub(lambda skipped: "\n" * skipped[0].count("\n"), text)
    before, dollar, _ = rest.partition("$")
    if dollar:
        line += before.count("\n")
        raise SourceError(line, r"a dollar without its partner; write the sign itself as \$")


def refuse_unknown(token: Token, line: int) -> None:
    if token.type not in KNOWN:
        raise SourceError(line, f"not allowed: {ADVICE.get(token.type, token.type)}")
    if token.markup == "autolink" and not str(token.attrs.get("href", "http")).startswith("http"):
        raise SourceError(line, "not allowed: <...> around anything but an http(s) address")


def refuse_unbalanced(token: Token, lines: list[str], line: int) -> None:
    assert token.map is not None
    fence = f"the fence {token.markup}{token.info.rstrip()}"
    start, end = token.map
    closing = lines[end - 1].strip("> \t")
    if end - start < 2 or not closing.endswith(token.markup) or closing.strip(token.markup[0]):
        raise SourceError(line, f"{fence} is never closed")
    directive = token.info.strip().startswith("{")
    if token.type == "colon_fence" and not directive:
        raise SourceError(line, f"{fence} names no directive; write :::{{admonition}} Title")
    swallowed = re.search(r"^\s*(`{3,}|:{3,})\{.*$", token.content, re.MULTILINE)
    if swallowed and (not directive or token.info.startswith("{code-cell}")):
        raise SourceError(line, f"{fence} is never closed, or swallows {swallowed[0].strip()}")


def read_directive(token: Token, line: int) -> Directive | None:
    """Reads the directive in a fence at `line`; None if it is a plain fence of code.

    Raises:
        SourceError: its name or one of its options is unknown, or its options are no mapping.
    """
    match = re.fullmatch(r"\{(.*?)\}(.*)", token.info.strip())
    if token.type not in {"fence", "colon_fence"} or not match:
        return None
    name, argument = match[1], match[2].strip()
    if name not in DIRECTIVES:
        raise SourceError(line, f"unknown directive {{{name}}}; allowed: {listed(DIRECTIVES)}")
    options, skipped = read_options(token.content.split("\n"), line + 1)
    refuse_options(options, OPTIONS.get(name, {}), f"{{{name}}}", line)
    body = token.content.split("\n")[skipped:]
    return Directive(name, argument, options, "\n".join(body).rstrip(), line + 1 + skipped)


def read_options(lines: list[str], line: int) -> tuple[Any, int]:
    """Reads options, as `:name: value` lines or YAML between `---`; also counts their lines."""
    count = 0
    if lines[0].startswith(":::"):
        raise SourceError(line, "a box inside of a box comes after a blank line")
    if lines[0].startswith("---"):
        end = next((i for i, text in enumerate(lines[1:], 1) if text.startswith("---")), 0)
        if not end:
            raise SourceError(line, "the options that start with --- never end with ---")
        block, count = lines[1:end], end + 1
    else:
        while lines[count].lstrip().startswith(":"):
            count += 1
        block = [text.lstrip()[1:] for text in lines[:count]]
    try:
        options = yaml.safe_load("\n".join(block)) or {}
    except yaml.YAMLError as error:
        raise SourceError(line, f"the options are not YAML: {error.__class__.__name__}") from error
    return options, count


def refuse_options(options: Any, allowed: dict[str, Any], owner: str, line: int) -> None:
    if not isinstance(options, dict):
        raise SourceError(line, f"{owner} takes options as 'name: value', got {options!r}")
    refuse_others(options, set(allowed), f"option of {owner}", line)
    for name, value in options.items():
        if allowed[name]:
            refuse_options(value, allowed[name], name, line)


def refuse_others(found: Iterable[str], allowed: set[str], what: str, line: int) -> None:
    for name in found:
        if name not in allowed:
            raise SourceError(line, f"unknown {what} {name!r}; allowed: {listed(allowed)}")


def listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"


def leaves(text: str, first: int) -> Iterator[tuple[Token, int]]:
    """Walks all block tokens of a page with their lines, also inside of boxes."""
    for token in parse(text, first):
        line = first + token.map[0] if token.map else first
        directive = read_directive(token, line)
        if directive and directive.name in BOXES:
            yield from leaves(directive.body, directive.line)
        else:
            yield token, line
