// Tables that are filled in place; on a phone the CSS shows each row as a block, so roles are said again.

import { element, setClass, setText } from "./dom.js";

// columns: [{title, number?, wrap?}]; rows: [[text | {text, title?, tone?, share?, node?}]]; share draws a bar of 0 … 1.
export function fill(host, caption, columns, rows, nothing) {
  if (!rows.length) {
    if (!host.querySelector(".empty") || host.querySelector("table")) host.replaceChildren(nothing);
    host.removeAttribute("tabindex");
    host.removeAttribute("role");
    host.removeAttribute("aria-label");
    return;
  }
  const mark = JSON.stringify([caption, columns]);
  if (host.dataset.mark !== mark || !host.querySelector("tbody")) frame(host, caption, columns, mark);
  const body = host.querySelector("tbody");
  while (body.rows.length > rows.length) body.deleteRow(-1);
  rows.forEach((cells, index) => fillRow(body.rows[index] ?? body.insertRow(), columns, cells));
}

function frame(host, caption, columns, mark) {
  const titles = columns.map((column) =>
    element("th", { scope: "col", role: "columnheader", className: column.number ? "number" : "" }, column.title),
  );
  host.dataset.mark = mark;
  host.tabIndex = 0; // a wide table is scrolled by keyboard too
  host.setAttribute("role", "region");
  host.setAttribute("aria-label", caption);
  host.replaceChildren(
    element(
      "table",
      { role: "table" },
      element("caption", { className: "hidden" }, caption),
      element("thead", { role: "rowgroup" }, element("tr", { role: "row" }, ...titles)),
      element("tbody", { role: "rowgroup" }),
    ),
  );
}

function fillRow(row, columns, cells) {
  row.setAttribute("role", "row");
  columns.forEach((column, index) => {
    const cell = cells[index] !== null && typeof cells[index] === "object" ? cells[index] : { text: cells[index] };
    let node = row.cells[index];
    if (!node) {
      node = index
        ? element("td", { "data-label": column.title, role: "cell" })
        : row.appendChild(element("th", { scope: "row", role: "rowheader" }));
      node.append(element("span"));
      row.append(node);
    }
    setClass(node, [column.number ? "number" : "", column.wrap ? "wrap" : ""].join(" ").trim());
    fillCell(node, cell);
  });
}

function fillCell(node, cell) {
  const span = node.firstChild;
  if (cell.node) span.replaceChildren(cell.node);
  else setText(span, cell.text ?? "");
  setClass(span, cell.tone ?? "");
  if (span.title !== (cell.title ?? "")) span.title = cell.title ?? "";
  let bar = node.querySelector(".bar");
  if (cell.share === undefined) {
    bar?.remove();
    return;
  }
  if (!bar) bar = node.appendChild(element("i", { className: "bar", ariaHidden: "true" }));
  bar.style.setProperty("--share", Math.max(0, Math.min(1, cell.share)));
  bar.style.setProperty("--tone", cell.color ?? "var(--accent)");
}
