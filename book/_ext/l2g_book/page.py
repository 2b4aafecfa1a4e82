"""The text inside of blocks: citations, equation numbers, links and formulas."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from docutils.nodes import fully_normalize_name, make_id

from .bibliography import Reference, joined
from .minutes import minutes
from .source import CODE, ESCAPE, FORMULA, SourceError, leaves, listed, read_directive

ROLES = ("eq", "footcite:p", "footcite:t", "minutes")

ROLE = r"\{(?P<role>[\w:+-]+)\}(?P<tick>`+)(?P<content>.+?)(?P=tick)"
LINK = r"(?P<textless>\[?)\]\((?P<address>[^)\s]*)"
INLINE = re.compile("|".join([ESCAPE, f"(?P<formula>{FORMULA})", ROLE, CODE, LINK]), re.DOTALL)


@dataclass
class Page:
    """A page and all that its text can refer to; `cited` grows while it is converted."""

    name: str
    site: str
    pages: frozenset[str]
    works: Mapping[str, Reference]
    solutions: bool = True  # whether they are kept
    equations: dict[str, int] = field(default_factory=dict)
    targets: dict[str, str] = field(default_factory=dict)  # with the headings they stand before
    named: dict[str, int] = field(default_factory=dict)  # with the lines where the names are given
    cited: list[str] = field(default_factory=list)
    source: str = ""

    def survey(self, text: str) -> None:
        """Numbers the labelled equations, as Sphinx does, and collects the targets of links.

        Raises:
            SourceError: a construct is unknown, or a label is given twice.
        """
        self.source = text
        blocks = list(leaves(text, 1))
        for i, (token, line) in enumerate(blocks):
            if token.type == "math_block_label":
                self.give(f"the equation label {token.info!r}", line)
                self.equations[token.info] = len(self.equations) + 1
            elif token.type == "myst_target":
                self.give(f"the label {fully_normalize_name(token.content)!r}", line)
                after = [block for block, _ in blocks[i + 1 : i + 3]]
                titled = after and after[0].type == "heading_open"
                self.targets[token.content] = after[1].content if titled else ""
            elif directive := read_directive(token, line):
                figure = directive.options.get("mystnb", {}).get("figure", {})
                if "name" in figure:
                    self.give(f"the label {fully_normalize_name(str(figure['name']))!r}", line)
                    self.targets[figure["name"]] = ""

    def give(self, name: str, line: int) -> None:
        if name in self.named:
            raise SourceError(line, f"{name} is given twice, first in line {self.named[name]}")
        self.named[name] = line

    def inline(self, text: str, line: int) -> str:
        """Converts the text of a paragraph, heading or table row that starts at `line`.

        Raises:
            SourceError: a role is unknown, or an equation, a work or a link's goal is missing.
        """

        def replace(match: re.Match[str]) -> str:
            here = line + text.count("\n", 0, match.start())
            if match["formula"]:
                return one_line(match["formula"])
            if match["role"]:
                return self.role(match["role"], match["content"].strip(), here)
            if match["address"] is not None:
                title = self.title(match["address"], here) if match["textless"] else ""
                return f"{match['textless']}{title}]({self.link(match['address'], here)}"
            return match[0]

        return INLINE.sub(replace, text)

    def role(self, name: str, content: str, line: int) -> str:
        if name == "eq":
            if content not in self.equations:
                raise SourceError(line, f"no equation of this page has the label {content!r}")
            return f"({self.equations[content]})"
        if name not in ROLES:
            raise SourceError(line, f"unknown role {{{name}}}; allowed: {listed(ROLES)}")
        if name == "minutes":
            try:
                return f"{minutes(self.source, content)} minutes"
            except ValueError as error:
                raise SourceError(line, str(error)) from error
        keys = [key.strip() for key in content.split(",")]
        works = [self.cite(key, line) for key in keys]
        if name == "footcite:t":
            return joined([work.textual() for work in works])
        return f"({'; '.join(work.parenthetical() for work in works)})"

    def cite(self, key: str, line: int) -> Reference:
        if key not in self.works:
            raise SourceError(line, f"book/references.bib has no work {key!r}")
        if key not in self.cited:
            self.cited.append(key)
        return self.works[key]

    def title(self, address: str, line: int) -> str:
        """The text of a link without one: the heading after its target."""
        if title := self.targets.get(address.removeprefix("#")):
            return self.inline(title, line)
        raise SourceError(line, f"a link needs a text: [text]({address})")

    def link(self, address: str, line: int) -> str:
        """Leads links to other pages and to targets of this page to the site."""
        page, _, anchor = address.partition("#")
        if address.startswith(("https://", "http://")):
            return address
        if not page and anchor in self.targets:
            return f"{self.site}{self.name}.html#{make_id(anchor)}"
        if page.removesuffix(".md") in self.pages and page.endswith(".md"):
            return f"{self.site}{page.removesuffix('.md')}.html" + (anchor and f"#{anchor}")
        if not page:
            raise SourceError(line, f"this page has no target ({anchor})= for a link")
        raise SourceError(
            line, f"a link leads to {address!r}; allowed: a page of book/ (NAME.md), #target, https"
        )


def one_line(formula: str) -> str:
    """Joins a formula's lines: Jupyter would read the > of a block quote as part of it."""
    without_comments = re.sub(r"((?<!\\)(?:\\\\)*)%.*(?=\n)", r"\1", formula)
    return re.sub(r"\s*\n\s*", " ", without_comments)
