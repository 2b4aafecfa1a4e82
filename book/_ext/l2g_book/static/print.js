// Paper is white, and nothing can be clicked on it: light colours, and solutions in code unfolded.

const html = document.documentElement;
const solutions = () => document.querySelectorAll(".tag_solution details:not([open])");
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
