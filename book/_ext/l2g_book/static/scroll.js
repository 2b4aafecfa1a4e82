// What is wider than its place scrolls by itself. It fades where there is more (see l2g.css), and
// the keyboard reaches it. It is called a group, for as a region each would be a landmark.

(() => {
  const KINDS = {
    ".tex[data-display]": "Formula",
    ".cell_input pre, .highlight pre": "Code",
    ".cell_output figure": "Figure",
    ".pst-scrollable-table-container, .table-wrapper, .l2g-table-place": "Table",
  };

  const ADDED = ["data-more", "tabindex", "role", "aria-label"];

  function mark(element, kind) {
    const { scrollLeft, scrollWidth, clientWidth } = element;
    const room = scrollWidth - clientWidth;
    if (room <= 1) {
      if (!element.dataset.more) return;
      for (const name of ADDED) element.removeAttribute(name);
      return;
    }
    const [left, right] = [scrollLeft > 1, scrollLeft < room - 1];
    element.dataset.more = left && right ? "both" : left ? "left" : "right";
    element.tabIndex = 0;
    element.setAttribute("role", "group");
    element.setAttribute("aria-label", `${kind}, scrolls sideways`);
  }

  document.addEventListener("DOMContentLoaded", () => {
    const found = Object.entries(KINDS).flatMap(([selector, kind]) =>
      [...document.querySelectorAll(`article :is(${selector})`)].map((element) => [element, kind]),
    );
    const kinds = new Map(found);
    const sizes = new ResizeObserver((entries) => {
      for (const { target } of entries) mark(target, kinds.get(target));
    });
    for (const [element, kind] of kinds) {
      sizes.observe(element);
      element.addEventListener("scroll", () => mark(element, kind), { passive: true });
    }
    const markAll = () => kinds.forEach((kind, element) => mark(element, kind));
    document.fonts.ready.then(markAll);
    addEventListener("load", markAll);
  });
})();
