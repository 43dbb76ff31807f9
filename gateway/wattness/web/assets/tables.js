// Tables that are filled in place, so that a reader's place and selection stay.

export function element(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in node) node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// columns: [{title, number?, wrap?}]; rows: [[text | {text, title?, tone?}]]
export function fill(id, caption, columns, rows, empty) {
  const host = document.getElementById(id);
  if (!rows.length) {
    if (!host.querySelector(".empty")) host.replaceChildren(element("p", { className: "empty" }, empty));
    return;
  }
  const body = host.querySelector("tbody") ?? frame(host, caption, columns);
  while (body.rows.length > rows.length) body.deleteRow(-1);
  rows.forEach((cells, index) => fillRow(body.rows[index] ?? body.insertRow(), columns, cells));
}

function frame(host, caption, columns) {
  const titles = columns.map((column) =>
    element("th", { scope: "col", role: "columnheader", className: column.number ? "number" : "" }, column.title));
  const body = element("tbody", { role: "rowgroup" });
  host.tabIndex = 0;
  host.setAttribute("role", "region");
  host.setAttribute("aria-label", caption);
  host.replaceChildren(element("table", { role: "table" }, element("caption", { className: "hidden" }, caption),
    element("thead", { role: "rowgroup" }, element("tr", { role: "row" }, ...titles)), body));
  return body;
}

function fillRow(row, columns, cells) {
  row.setAttribute("role", "row"); // said again, because a phone shows the table as blocks
  columns.forEach((column, index) => {
    const cell = typeof cells[index] === "object" ? cells[index] : { text: cells[index] };
    let node = row.cells[index];
    if (!node) {
      node = index ? element("td", { "data-label": column.title, role: "cell" }) : element("th", { scope: "row", role: "rowheader" });
      node.append(element("span"));
      row.append(node);
    }
    const name = [column.number ? "number" : "", column.wrap ? "wrap" : ""].join(" ").trim();
    if (node.className !== name) node.className = name;
    const span = node.firstChild;
    setText(span, cell.text ?? "");
    if (span.className !== (cell.tone ?? "")) span.className = cell.tone ?? "";
    if (span.title !== (cell.title ?? "")) span.title = cell.title ?? "";
  });
}
