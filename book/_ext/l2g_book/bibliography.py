"""The one bibliography as the notebooks cite it: Author (year), with a link."""

import re
from pathlib import Path
from typing import NamedTuple

from pybtex.database import Entry, Person, parse_file
from pybtex.exceptions import PybtexError
from pybtex.richtext import Text

VENUES = ("journal", "booktitle", "school", "institution", "howpublished")


class Reference(NamedTuple):
    """One work, in Markdown."""

    authors: str  # everyone, with first names
    names: str  # "Ho", "Ho and Lee" or "Ho et al."
    year: str
    title: str
    venue: str
    url: str

    def textual(self) -> str:
        return linked(f"{self.names} ({self.year})", self.url)

    def parenthetical(self) -> str:
        return linked(f"{self.names}, {self.year}", self.url)

    def entry(self) -> str:
        sentences = filter(None, [f"{self.authors} ({self.year})", self.title, self.venue])
        text = " ".join(s if s.endswith((".", "?”", "?*", "!”")) else f"{s}." for s in sentences)
        return f"{text} {linked(self.url.removeprefix('https://'), self.url)}".rstrip()


def read_bibliography(path: Path) -> dict[str, Reference]:
    """Reads a BibTeX file and returns its works by key.

    Raises:
        ValueError: the file is not BibTeX, a work lacks its authors, title or year, or a field
            holds a LaTeX command that cannot be shown in Markdown.
    """
    try:
        entries = parse_file(path, "bibtex").entries
    except PybtexError as error:
        raise ValueError(f"book/{path.name}: {error}") from error
    works = {}
    for key, entry in entries.items():
        try:
            works[key] = reference(entry)
        except ValueError as error:
            raise ValueError(f"book/{path.name}: {key}: {error}") from error
    return works


def reference(entry: Entry) -> Reference:
    persons = entry.persons.get("author") or entry.persons.get("editor")
    if not persons or not {"title", "year"} <= set(entry.fields):
        raise ValueError("a work needs author (or editor), title and year")
    details = ("volume", "number", "pages", "publisher")
    volume, number, pages, publisher = [plain(entry.fields.get(name, "")) for name in details]
    venue = next((plain(entry.fields[name]) for name in VENUES if name in entry.fields), "")
    issue = volume + (f"({number})" if number else "")
    title = plain(entry.fields["title"])
    return Reference(
        authors=joined([" ".join(map(plain, full_name(person))) for person in persons]),
        names=short([" ".join(map(plain, family_name(person))) for person in persons]),
        year=entry.fields["year"],
        title=f"“{title}”" if venue else f"*{title}*",
        venue=", ".join(filter(None, [venue and f"*{venue}*", issue, pages, publisher])),
        url=address(entry),
    )


def address(entry: Entry) -> str:
    url = entry.fields.get("url", "")
    if doi := entry.fields.get("doi"):
        url = f"https://doi.org/{doi.removeprefix('https://doi.org/')}"
    return str(url).replace("(", "%28").replace(")", "%29")


def family_name(person: Person) -> list[str]:
    return [*person.prelast_names, *person.last_names]


def full_name(person: Person) -> list[str]:
    given = [*person.first_names, *person.middle_names]
    return [*given, *family_name(person), *person.lineage_names]


def short(names: list[str]) -> str:
    if len(names) > 2 or names[-1] == "others":
        return f"{names[0]} et al."
    return " and ".join(names)


def joined(names: list[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def linked(text: str, url: str) -> str:
    return f"[{text}]({url})" if url else text


def plain(latex: str) -> str:
    """Decodes LaTeX's accents, dashes and braces; formulas between dollars stay formulas."""
    parts = re.split(r"(\$[^$]*\$)", str(Text.from_latex(latex)))
    if command := re.search(r"\\[a-zA-Z]+", "".join(parts[::2])):
        raise ValueError(f"the LaTeX command {command[0]} is not supported; only accents are")
    parts[::2] = [re.sub(r"([*_\[\]<>`\\])", r"\\\1", part) for part in parts[::2]]
    return "".join(parts)
