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

const rows = () => new Map([...document.querySelectorAll(".backups tbody tr")].map((row) => [row.querySelector("th a").href, row]));
const controls = (row) => [...row.querySelectorAll("input, a, summary, button")];
let saved = [];
document.addEventListener("htmx:beforeSwap", ({ detail }) => {
  if (detail.target.id !== "overview") return;
  saved = [...rows()].map(([address, row]) => ({
    address,
    isSelected: row.querySelector("input")?.checked,
    isOpen: row.querySelector("details")?.open,
    focus: controls(row).indexOf(document.activeElement),
  }));
});
document.addEventListener("htmx:afterSettle", () => {
  const now = rows();
  for (const { address, isSelected, isOpen, focus } of saved) {
    const row = now.get(address);
    if (!row) continue;
    if (isSelected) row.querySelector("input").checked = true;
    if (isOpen) row.querySelector("details").open = true;
    if (focus >= 0) controls(row)[focus]?.focus({ preventScroll: true });
  }
  saved = [];
});
