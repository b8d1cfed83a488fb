/** The receipt's controls, and its amounts and times as the visitor's locale writes them. */

import { announce, requireElement, setText, setVisible } from "../shared/dom.js";
import { formatDollars, formatExactTokens, formatTime } from "./money.js";

const COPIED = "Copied";
const NOT_COPIED = "This browser does not allow copying.";

/** Writes a value anew. The title keeps what the server wrote. */
function localize(node, text) {
  node.title = node.textContent;
  setText(node, text);
}

for (const node of document.querySelectorAll("data")) {
  const { decimals, symbol } = node.dataset;
  localize(node, decimals ? formatExactTokens(node.value, { decimals: Number(decimals), symbol }) : formatDollars(node.value));
}
for (const node of document.querySelectorAll("time")) localize(node, formatTime(node.dateTime));

const printButton = requireElement("print");
const copyButton = requireElement("copy");
for (const button of [printButton, copyButton]) setVisible(button, true);
printButton.addEventListener("click", () => print());
copyButton.addEventListener("click", async () => {
  const address = document.querySelector(".proof .code")?.href ?? location.href;
  const copied = await navigator.clipboard?.writeText(address).then(() => true, () => false);
  setText(copyButton, copied ? COPIED : NOT_COPIED);
  announce(copied ? COPIED : NOT_COPIED);
});
