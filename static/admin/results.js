/** Keeps what a decision answered on its page, which is loaded anew, until somebody dismisses it. In this tab only. */

import { createElement } from "../shared/dom.js";

const RESULTS_KEY = `results:${location.pathname}${location.search}`;

function readResults() {
  try {
    const results = JSON.parse(sessionStorage.getItem(RESULTS_KEY) ?? "[]");
    return Array.isArray(results) ? results.map(String) : [];
  } catch {
    return [];
  }
}

function storeResults(results) {
  if (results.length > 0) sessionStorage.setItem(RESULTS_KEY, JSON.stringify(results));
  else sessionStorage.removeItem(RESULTS_KEY);
}

/** Loads the page anew with the result on top. False if this browser keeps nothing: then the page stays as it is. */
export function reloadWithResult(text) {
  try {
    storeResults([...readResults(), text]);
  } catch {
    return false;
  }
  location.reload();
  return true;
}

/** Shows the results of this page, the newest first and focused. */
export function showResults(main) {
  for (const text of readResults()) {
    const dismiss = createElement("button", { type: "button" }, "Dismiss");
    const box = createElement("div", { class: "panel kept", role: "status", tabindex: "-1" }, createElement("p", {}, text), dismiss);
    dismiss.addEventListener("click", () => {
      const results = readResults();
      results.splice(results.indexOf(text), 1);
      storeResults(results);
      box.remove();
      main.focus();
    });
    main.prepend(box);
    box.focus();
  }
}
