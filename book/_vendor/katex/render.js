// Renders the elements that the local Sphinx extension writes. This file is the course's own.
document.addEventListener("DOMContentLoaded", () => {
  for (const element of document.querySelectorAll(".tex")) {
    const source = element.textContent;
    katex.render(source, element, { displayMode: "display" in element.dataset, throwOnError: false });
  }
});
