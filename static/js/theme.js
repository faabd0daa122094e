// Follow the browser's color scheme, before anything is drawn.
const preference = matchMedia("(prefers-color-scheme: dark)");
const apply = () => document.documentElement.setAttribute("data-bs-theme", preference.matches ? "dark" : "light");
apply();
preference.addEventListener("change", apply);
