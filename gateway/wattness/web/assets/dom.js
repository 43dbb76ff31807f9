// Building and filling nodes in place, so that a reader's place, focus and selection stay.

const SVG = "http://www.w3.org/2000/svg";

// A property of the node where it has one, else an attribute; text of others is only ever text, never markup.
export function element(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined) continue;
    if (name in node) node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

export function svg(tag, attributes = {}, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function setClass(node, name) {
  if (node.getAttribute("class") !== name) node.setAttribute("class", name);
}

export function setAttribute(node, name, value) {
  if (value === null) node.removeAttribute(name);
  else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
}

export function button(text, onClick, properties = {}) {
  const node = element("button", { type: "button", ...properties }, text);
  node.addEventListener("click", onClick);
  return node;
}

// Keep one child of `host` per item, made by `make(item)` once and renewed by `renew(child, item)`.
export function keep(host, items, keyOf, make, renew) {
  const old = new Map([...host.children].map((child) => [child.dataset.key, child]));
  let after = null;
  for (const item of items) {
    const key = String(keyOf(item));
    const child = old.get(key) ?? make(item);
    old.delete(key);
    child.dataset.key = key;
    const place = after ? after.nextSibling : host.firstChild;
    if (place !== child) host.insertBefore(child, place);
    renew(child, item);
    after = child;
  }
  for (const child of old.values()) child.remove();
}

// Fill a <dl> of facts: [[title, value, tone?]], titles unique.
export function facts(host, rows) {
  keep(
    host,
    rows,
    ([title]) => title,
    () => element("div", {}, element("dt"), element("dd")),
    (child, [title, value, tone]) => {
      setText(child.firstChild, title);
      setText(child.lastChild, value);
      setClass(child.lastChild, tone ?? "");
    },
  );
}

export function empty(title, text, ...more) {
  return element(
    "div",
    { className: "empty" },
    element("p", { className: "empty-title" }, title),
    element("p", {}, text),
    ...more,
  );
}
