// What the pages need of Bootstrap's 80 KB: the menus in the header, and the way back to the top.

(() => {
  for (const button of document.querySelectorAll("[data-bs-toggle=dropdown]")) {
    const box = button.parentElement;
    const show = (open) => {
      button.classList.toggle("show", open);
      button.setAttribute("aria-expanded", open);
    };
    button.addEventListener("click", () => show(!button.classList.contains("show")));
    document.addEventListener("click", (event) => box.contains(event.target) || show(false));
    box.addEventListener("focusout", (event) => {
      if (event.relatedTarget && !box.contains(event.relatedTarget)) show(false);
    });
    box.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !button.classList.contains("show")) return;
      show(false);
      button.focus();
    });
  }

  // The button shows while the reader scrolls up, far from the top, and soon goes away.
  const up = document.getElementById("pst-back-to-top");
  let before = 0;
  let rest = 0;
  const hide = () => { if (document.activeElement !== up) up.style.display = "none"; };
  up?.addEventListener("click", () => window.scrollTo(0, 0));
  addEventListener("scroll", () => {
    const far = scrollY > innerHeight && scrollY < before;
    before = scrollY;
    if (!up) return;
    up.style.display = far ? "block" : "none";
    clearTimeout(rest);
    rest = setTimeout(hide, 2000);
  }, { passive: true });
})();
