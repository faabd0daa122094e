// Select all backups of the page, and keep selection, open menus and focus when htmx replaces the list.
const show = () => document.querySelectorAll("[data-select-all]").forEach((button) => (button.hidden = false));
show();
document.addEventListener("htmx:afterSettle", show);
document.addEventListener("click", (event) => {
  if (!event.target.closest("[data-select-all]")) return;
  const boxes = [...document.querySelectorAll("input[form=select]")];
  const all = boxes.every((box) => box.checked);
  boxes.forEach((box) => (box.checked = !all));
});

// Menus close on Escape and on a click outside.
document.addEventListener("click", ({ target }) => {
  for (const menu of document.querySelectorAll("details.more[open]")) if (!menu.contains(target)) menu.open = false;
});
document.addEventListener("keydown", ({ key, target }) => {
  const menu = target.closest("details.more[open]");
  if (key !== "Escape" || !menu) return;
  menu.open = false;
  menu.querySelector("summary").focus();
});

// Arrow keys move through the days.
document.addEventListener("keydown", (event) => {
  const day = event.target.closest(".day");
  const next = { ArrowLeft: day?.previousElementSibling, ArrowRight: day?.nextElementSibling }[event.key];
  if (!next) return;
  event.preventDefault();
  day.tabIndex = -1;
  next.tabIndex = 0;
  next.focus();
});

const rows = () => new Map([...document.querySelectorAll(".backups tbody tr")].map((row) => [row.querySelector("th a").href, row]));
const controls = (row) => [...row.querySelectorAll("input, a, summary, button")];
let saved = [];
document.addEventListener("htmx:beforeSwap", ({ detail }) => {
  if (detail.target.id !== "overview") return;
  saved = [...rows()].map(([address, row]) => ({
    address,
    isSelected: row.querySelector("input")?.checked,
    isOpen: row.querySelector("details.more")?.open,
    focus: controls(row).indexOf(document.activeElement),
  }));
});
document.addEventListener("htmx:afterSettle", () => {
  const now = rows();
  for (const { address, isSelected, isOpen, focus } of saved) {
    const row = now.get(address);
    if (!row) continue;
    if (isSelected) row.querySelector("input").checked = true;
    if (isOpen) row.querySelector("details.more").open = true;
    if (focus >= 0) controls(row)[focus]?.focus({ preventScroll: true });
  }
  saved = [];
});
