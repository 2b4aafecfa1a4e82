// Renders the elements that the local Sphinx extension writes. This file is the course's own.

// Keeps "(" before and "," after an inline formula on its line; long formulas may still break.
function join(formula) {
  const { previousSibling: before, nextSibling: after } = formula;
  const opening = before?.data?.match(/[(“‘[]+$/)?.[0] ?? "";
  const closing = after?.data?.match(/^[^\s\p{L}\p{N}]+/u)?.[0] ?? "";
  if (opening) before.data = before.data.slice(0, -opening.length);
  if (closing) after.data = after.data.slice(closing.length);
  const joined = document.createElement("span");
  joined.className = "tex-joined";
  formula.replaceWith(joined);
  joined.append(opening, formula, closing);
  for (const part of formula.querySelectorAll(".katex-base + .katex-base"))
    part.before(document.createElement("wbr"));
}

document.addEventListener("DOMContentLoaded", () => {
  for (const element of document.querySelectorAll(".tex")) {
    const displayMode = "display" in element.dataset;
    katex.render(element.textContent, element, { displayMode, throwOnError: false });
    if (!displayMode) join(element);
  }
  document.documentElement.dataset.tex = "rendered"; // what waited for it shows: see l2g.css
  document.fonts.ready.then(letScroll);
});

// What is too wide for the screen scrolls, and so must be in reach of the keyboard.
function letScroll() {
  for (const formula of document.querySelectorAll(".tex[data-display]"))
    if (formula.scrollWidth > formula.clientWidth) formula.tabIndex = 0;
    else formula.removeAttribute("tabindex");
}
addEventListener("resize", letScroll);
