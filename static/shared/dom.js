/** Creates and changes DOM nodes, always as text. */

export function requireElement(id) {
  const node = document.getElementById(id);
  if (!node) throw new Error(`The page has no #${id}`);
  return node;
}

export function createElement(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children.filter((child) => child !== null));
  return node;
}

/** Sets a node's text if it changed: writing the same text would repeat announcements and clear selections. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function setVisible(node, visible) {
  node.hidden = !visible;
}

/** Announces a text to screen readers. */
export function announce(text) {
  setText(requireElement("live"), text);
}
