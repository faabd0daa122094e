// On the pages of an import: a file is read as soon as it is chosen or dropped, and what the server cannot answer is said.
const upload = document.getElementById("import-file");
const review = document.getElementById("import-form");

if (upload) {
  const input = upload.querySelector("input[type=file]");
  const problem = document.getElementById("file-problem");
  const read = () => {
    const [file] = input.files;
    if (!file) return;
    const tooLarge = file.size > Number(upload.dataset.most);
    problem.hidden = !tooLarge;
    if (tooLarge) {
      problem.textContent = `“${file.name}” has ${(file.size / 1e6).toFixed(1)} MB; an export is at most 32 MiB. Nothing was sent.`;
      input.value = "";
    } else upload.requestSubmit();
  };
  upload.querySelector(".drop-word").hidden = false;
  input.addEventListener("change", read);
  for (const name of ["dragover", "dragleave", "drop"]) {
    upload.addEventListener(name, (event) => {
      event.preventDefault();
      upload.classList.toggle("is-over", name === "dragover");
    });
  }
  upload.addEventListener("drop", (event) => {
    input.files = event.dataTransfer.files;
    read();
  });
}

if (review) {
  const totals = document.getElementById("import-totals");
  const say = (sentence) => {
    totals.textContent = sentence;
    document.querySelector("#import-button button").disabled = true;
  };
  const sayAway = () => {
    totals.textContent = "The server did not answer, and nothing was imported. Your choices are all here: press once more when it does.";
  };
  const saySignedOut = () => {
    const link = Object.assign(document.createElement("a"), { href: review.dataset.signIn, target: "_blank", textContent: "sign in in another tab" });
    totals.replaceChildren("You are signed out, and nothing was imported. Your choices are all here: ", link, ", and go on here.");
  };
  // Whoever is led to another page has lost all choices: a press is sent only where the server answers and knows who asks.
  let isSure = false;
  review.addEventListener("submit", async (event) => {
    if (isSure) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    const pressed = event.submitter;
    const answer = await fetch(review.dataset.look, { redirect: "manual" }).catch(() => null);
    if (!answer) sayAway();
    else if (answer.type === "opaqueredirect") saySignedOut();
    else {
      // New totals may have come meanwhile, with another button: it stands for the same if they are the same.
      const button = pressed?.isConnected ? pressed : document.getElementById(pressed?.id);
      if (!button || button.disabled || button.value !== pressed.value) return;
      isSure = true;
      review.requestSubmit(button);
      isSure = false;
    }
  });
  document.addEventListener("htmx:beforeOnLoad", (event) => {
    if (!event.detail.xhr.getResponseHeader("HX-Redirect")?.startsWith(review.dataset.signIn)) return;
    event.preventDefault();
    saySignedOut();
  });
  // Requests of this form, by how many new reviews had been asked for. While one is on its way nothing can be chosen that it
  // would wipe out; afterwards the focus is where it was.
  const asked = new WeakMap();
  let reviews = 0;
  document.addEventListener("htmx:beforeRequest", (event) => {
    const { detail } = event;
    if (!review.contains(detail.elt)) return;
    if (review.inert) {
      event.preventDefault(); // it waited for its turn meanwhile; the new review has been told the same choices
      return;
    }
    if (detail.target.id === "review") {
      reviews += 1;
      review.inert = true;
      review.dataset.focus = detail.elt.id;
    }
    asked.set(detail.xhr, reviews);
  });
  document.addEventListener("htmx:afterRequest", ({ detail }) => {
    if (!review.inert || asked.get(detail.xhr) !== reviews) return;
    review.inert = false;
    document.getElementById(review.dataset.focus)?.focus({ preventScroll: true });
  });
  document.addEventListener("htmx:beforeSwap", ({ detail }) => {
    if (asked.has(detail.xhr) && asked.get(detail.xhr) !== reviews) detail.shouldSwap = false; // of a review that is no longer shown
  });
  document.addEventListener("htmx:responseError", ({ detail }) => {
    if (asked.has(detail.xhr)) say("The server could not renew the totals. Change something once more, or choose the file again.");
  });
  document.addEventListener("htmx:sendError", ({ detail }) => {
    if (asked.has(detail.xhr)) say("The server did not answer, and nothing was imported. Your choices are still here: change something when it does.");
  });
}

// One press of a button is enough; the page is left as it is for who comes back.
for (const form of document.querySelectorAll("main form")) {
  let isSent = false;
  form.addEventListener("submit", (event) => {
    if (isSent) event.preventDefault();
    isSent = true;
  });
  window.addEventListener("pageshow", () => { isSent = false; });
}
