// Light or dark by the browser's wish, before anything is drawn, and again when the wish changes.
const wish = matchMedia("(prefers-color-scheme: dark)");
const heed = () => document.documentElement.setAttribute("data-bs-theme", wish.matches ? "dark" : "light");
heed();
wish.addEventListener("change", heed);
