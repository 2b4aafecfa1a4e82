// Renders the elements that the local Sphinx extension writes. This file is the course's own.

(() => {
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

  const display = (tex, element) =>
    katex.render(tex, element, { displayMode: true, throwOnError: false });

  // ---- displayed formulas that are too wide for their place

  // Cuts TeX where `mark` matches outside of all braces and environments.
  function cut(tex, mark) {
    const parts = [""];
    let depth = 0;
    const TOKEN = /\\begin\b|\\end\b|\\\\(\[[^\]]*\])?|\\[a-zA-Z]+|\\.|[^]/g;
    for (const [token] of tex.matchAll(TOKEN)) {
      if (token === "{" || token === "\\begin" || token === "\\left") depth += 1;
      if (token === "}" || token === "\\end" || token === "\\right") depth -= 1;
      if (!depth && mark.test(token)) parts.push("");
      else parts[parts.length - 1] += token;
    }
    return parts;
  }

  const BOX = /^\s*\\boxed\s*\{([^]*)\}\s*$/;
  const ROWS = /^\s*\\begin\{(aligned|gathered|split)\}([^]*)\\end\{\1\}([^]*)$/;

  // The rows that a formula falls into: lines of `aligned`, and what a wide space separates.
  function rowsOf(tex) {
    const rows = tex.match(ROWS);
    const lines = rows ? cut(rows[2] + rows[3], /^\\\\/) : [tex];
    return lines
      .flatMap((line) => cut(line, /^\\q?quad$/))
      .map((row) => cut(row, /^&$/).join("").trim())
      .filter(Boolean);
  }

  // Without \left and \right, TeX may break a line between the brackets, too.
  const unfenced = (tex) => tex.replace(/\\(left|right)\s*(\.|(?![a-zA-Z]))/g, "");

  function asRows(element, change = (tex) => tex) {
    const source = element.dataset.tex;
    const inside = source.match(BOX);
    element.replaceChildren();
    element.classList.toggle("tex-boxed", inside !== null);
    for (const row of rowsOf(change(inside ? inside[1] : source))) {
      const line = element.appendChild(document.createElement("div"));
      display(row, line);
    }
  }

  // Each next one changes more. What is too wide after the last one scrolls: see scroll.js.
  const WAYS = [
    (element) => asRows(element),
    (element) => element.classList.add("tex-broken"),
    (element) => asRows(element, unfenced),
    (element) => {
      const scale = Math.max(0.75, element.clientWidth / element.scrollWidth);
      element.style.fontSize = `${scale}em`;
    },
  ];

  const isWide = (element) => element.scrollWidth > element.clientWidth + 1;

  function restore(element) {
    if (element.querySelector(":scope > div")) display(element.dataset.tex, element);
    element.classList.remove("tex-broken", "tex-boxed");
    element.style.fontSize = "";
  }

  // All widths are read before anything is changed: the page is laid out once for each way.
  function fit(place) {
    let wide = [...place.querySelectorAll(".tex[data-display]")];
    wide.forEach(restore);
    for (const way of WAYS) {
      wide = wide.filter(isWide);
      wide.forEach(way);
    }
  }

  document.addEventListener("DOMContentLoaded", () => {
    for (const element of document.querySelectorAll(".tex")) {
      const tex = element.textContent;
      if ("display" in element.dataset) {
        element.dataset.tex = tex;
        display(tex, element);
      } else {
        katex.render(tex, element, { throwOnError: false });
        join(element);
      }
    }
    fit(document);
    document.documentElement.dataset.tex = "rendered"; // what waited for it shows: see l2g.css
    document.fonts.ready.then(() => fit(document));
    // What was folded had no width.
    document.addEventListener("toggle", (event) => fit(event.target), true);
  });

  let width = innerWidth;
  addEventListener("resize", () => {
    if (innerWidth !== width) fit(document);
    width = innerWidth;
  });
})();
