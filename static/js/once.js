// Send a form only once, however often its button is pressed. Forms that other scripts send are left to them.
const forget = form => { delete form.dataset.sent; };
document.addEventListener("submit", event => {
  const form = event.target;
  if (event.defaultPrevented) return;
  if (form.dataset.sent) event.preventDefault();
  form.dataset.sent = "yes";
  setTimeout(forget, 3000, form);
});
window.addEventListener("pageshow", () => document.querySelectorAll("form[data-sent]").forEach(forget));
