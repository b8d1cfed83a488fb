/** Building and changing nodes, always as text. */

export function byId(id) {
  const node = document.getElementById(id);
  if (!node) throw new Error(`The page has no #${id}`);
  return node;
}

export function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children.filter((child) => child !== null));
  return node;
}

/** Touches the node only on a change, so that nothing is announced or selected away for nothing. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function show(node, visible) {
  node.hidden = !visible;
}

/** A link to the chain's explorer, or plain text where none is known. The whole value is in its title. */
export function explorerLink(explorer, kind, value, text) {
  if (!explorer) return element("span", { class: "hex", title: value }, text);
  const href = `${explorer.replace(/\/$/, "")}/${kind}/${value}`;
  return element("a", { class: "hex", title: value, href, target: "_blank", rel: "noopener noreferrer" }, text);
}

export function announce(text) {
  setText(byId("live"), text);
}
