// Dialogs, copying and saving: the browser's own <dialog> keeps the focus inside and gives it back.

import { button, element } from "./dom.js";
import { icon } from "./icons.js";

let number = 0;

// Show a modal dialog with a title and content; returns {node, close}.
export function dialog(title, content, { onClose } = {}) {
  const heading = element("h2", { id: `dialog-${++number}` }, title);
  const close = button("Close", () => node.close(), { className: "quiet" });
  const node = element(
    "dialog",
    { className: "dialog" },
    element("div", { className: "head" }, heading, close),
    ...[content].flat(),
  );
  node.setAttribute("aria-labelledby", heading.id);
  node.addEventListener("close", () => {
    node.remove();
    onClose?.();
  });
  document.body.append(node);
  node.showModal();
  return { node, close: () => node.close() };
}

// Ask before something is done; `act` is awaited, and its problem is shown in the dialog.
export function confirm({ title, text, yes, no = "Keep it", act }) {
  const problem = element("p", { className: "problem", role: "alert", hidden: true });
  const go = button(
    yes,
    async () => {
      go.disabled = true;
      try {
        await act();
        close();
      } catch (error) {
        go.disabled = false;
        problem.hidden = false;
        problem.textContent = error.message;
      }
    },
    { className: "danger" },
  );
  const keep = button(no, () => close());
  const { close, node } = dialog(title, [
    ...[text].flat().map((one) => element("p", {}, one)),
    problem,
    element("div", { className: "actions" }, keep, go),
  ]);
  keep.focus();
  return node;
}

export function copyButton(text, what, label = "Copy") {
  const word = element("span", { ariaLive: "polite" }, label);
  const node = button(
    "",
    async () => {
      const done = await copy(text, node);
      word.textContent = done ? "Copied" : "Select it";
      setTimeout(() => {
        word.textContent = label;
      }, 2000);
    },
    { className: "quiet copy" },
  );
  node.append(icon("copy", 16), word, element("span", { className: "hidden" }, ` ${what}`));
  return node;
}

// Without TLS a browser may have no clipboard for us; the older way needs a field to select.
async function copy(text, beside) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const field = element("textarea", { value: text, className: "hidden", readOnly: true });
    beside.after(field);
    field.select();
    const done = document.execCommand("copy");
    field.remove();
    return done;
  }
}

export function download(name, text) {
  const link = element("a", {
    href: URL.createObjectURL(new Blob([text], { type: "application/json" })),
    download: name,
  });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
