/** Links to the chain's explorer. */

import { createElement } from "../shared/dom.js";

/** Creates a link, or plain text without an explorer. The title holds the full value. */
export function createExplorerLink(explorer, kind, value, text) {
  if (!explorer) return createElement("span", { class: "hex", title: value }, text);
  const href = `${explorer.replace(/\/$/, "")}/${kind}/${value}`;
  return createElement("a", { class: "hex", title: value, href, target: "_blank", rel: "noopener noreferrer" }, text);
}
