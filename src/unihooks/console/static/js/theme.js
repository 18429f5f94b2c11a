// Give the page the system's theme before it is painted, unless the viewer has chosen one.
(() => {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const follow = () => {
    if (root.dataset.theme === "system") root.classList.toggle("dark", dark.matches);
  };
  follow();
  dark.addEventListener("change", follow);
  root.classList.add("js");
})();
