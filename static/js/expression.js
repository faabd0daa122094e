// The expression tester: offer the names that begin with the word before the caret, and cancel a count.
const input = document.getElementById("id_expression");
const completions = document.getElementById("completions");
const most = 8;

const insert = (rest) => {
  input.focus();
  input.setRangeText(`${rest} `, input.selectionStart, input.selectionEnd, "end");
  input.dispatchEvent(new Event("input", { bubbles: true }));
};

const offer = () => {
  const word = input.value.slice(0, input.selectionStart).match(/@?\w+$/)?.[0] ?? "";
  const names = new Set([...document.querySelectorAll("#names code:not(.example)")].map((each) => each.textContent));
  const found = word ? [...names].filter((name) => name !== word && name.startsWith(word)).slice(0, most) : [];
  completions.replaceChildren(...found.map((name) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "btn btn-sm btn-outline-secondary";
    button.textContent = name;
    button.addEventListener("click", () => insert(name.slice(word.length)));
    return button;
  }));
};

completions.hidden = false;
input.addEventListener("input", offer);

document.getElementById("cancel-test").addEventListener("click", () => {
  htmx.trigger("#expression-form", "htmx:abort");
  document.getElementById("test-summary").textContent = "Canceled.";
});
