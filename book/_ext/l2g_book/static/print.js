// Paper is white, and nothing can be clicked on it: light colours, and what is folded unfolded, but
// for code and checks, of which nothing is left (see l2g.css).

(() => {
  const html = document.documentElement;
  const FOLDS = ".l2g-fold:not([open]), .tag_solution details:not([open])";
  const solutions = () => document.querySelectorAll(FOLDS);
  let restore = () => {};

  addEventListener("beforeprint", () => {
    const { theme } = html.dataset;
    const unfolded = [...solutions()];
    html.dataset.theme = "light";
    for (const solution of unfolded) solution.open = true;
    restore = () => {
      html.dataset.theme = theme;
      for (const solution of unfolded) solution.open = false;
    };
  });
  addEventListener("afterprint", () => restore());
})();
