"""What the tests of all explorables share: opening one, and measuring its colours."""

from l2g.explore import Explorable

LAB = ".l2g-explorable"
PHONE = (360, 740)


def open_lab(page, tmp_path, name, *states, html="", body=""):
    """A page with one copy of the explorable for each state; the first of them is returned."""
    fragments = "".join(Explorable(name, **state)._repr_html_() for state in states)
    file = tmp_path / "page.html"
    file.write_text(
        f'<!doctype html><html lang="en" {html}><meta charset="utf-8"><title>Lab</title>'
        '<meta name="viewport" content="width=device-width">'
        f"<body {body}>{fragments}</body></html>",
        encoding="utf-8",
    )
    page.goto(file.as_uri())
    return page.locator(LAB).first


def helpers_of(name):
    """How the tests of one explorable open it, in states or as it is, and complete a state."""

    def open_it(page, tmp_path, *states):
        return open_lab(page, tmp_path, name, *(states or ({},)))

    def full(**state):
        return Explorable(name, **state).state

    return open_it, full


def compute(lab, states):
    return lab.evaluate("(lab, states) => states.map(lab.l2g.compute)", states)


def state_of(lab):
    return lab.evaluate("lab => lab.l2g.get()")


COLOURS = """(lab, marks) => {
    const rgb = text => text.match(/[\\d.]+/g).map(Number);
    const ground = element => {
        for (let e = element; e; e = e.parentElement ?? e.getRootNode().host) {
            const colour = rgb(getComputedStyle(e).backgroundColor);
            if (colour.length === 3 || colour[3] === 1) return colour;
        }
    };
    const card = lab.shadowRoot.querySelector(".lab");
    const texts = [];
    const walk = document.createTreeWalker(card, NodeFilter.SHOW_TEXT);
    while (walk.nextNode()) {
        const parent = walk.currentNode.parentElement;
        if (!walk.currentNode.data.trim() || !parent.getClientRects().length) continue;
        const style = getComputedStyle(parent);
        texts.push([walk.currentNode.data, rgb(style.color), ground(parent)]);
    }
    const shapes = [...card.querySelectorAll(marks)].map(e => {
        const { stroke, backgroundColor } = getComputedStyle(e);
        const ink = e.tagName === "path" ? stroke : backgroundColor;
        return [e.outerHTML.slice(0, 60), rgb(ink), ground(e.parentElement)];
    });
    return { card: ground(card), texts, shapes };
}"""


def luminance(rgb):
    channels = [c / 255 for c in rgb[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one, other):
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)
