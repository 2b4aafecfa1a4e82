// What the reader says to a prediction or a belief stays in this browser, and stands again beside
// its answer. Without a script, or without a memory, the options are a list to choose from in mind.

(() => {
  const page = location.pathname.split("/").pop().replace(/\.html$/, "") || "index";
  const key = (name) => `l2g:${page}:${name}`;

  const recall = (name) => {
    try { return localStorage.getItem(key(name)); } catch { return null; }
  };
  const keep = (name, said) => {
    try { localStorage.setItem(key(name), said); } catch { /* a private window forgets */ }
  };

  const answers = new Map();
  for (const box of document.querySelectorAll("[data-claim]")) {
    const { of } = JSON.parse(box.dataset.claim);
    if (of) answers.set(of, box);
  }

  function repeat(radio) {
    const box = answers.get(radio.name);
    if (!box) return;
    let line = box.querySelector(".l2g-said");
    if (!line) {
      line = document.createElement("p");
      line.className = "l2g-said";
      box.prepend(line);
    }
    const option = radio.parentElement.querySelector("span").cloneNode(true);
    line.replaceChildren("You said: ", ...option.childNodes);
  }

  for (const radio of document.querySelectorAll(".l2g-options input")) {
    radio.addEventListener("change", () => {
      keep(radio.name, radio.value);
      repeat(radio);
    });
    if (recall(radio.name) === radio.value) {
      radio.checked = true;
      repeat(radio);
    }
  }
})();
