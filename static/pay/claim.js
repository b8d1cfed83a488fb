/** "Paid from elsewhere?": a pasted transaction hash is claimed and followed. */

import { announce, byId, setText, show } from "../shared/dom.js";
import { follow, isHash } from "./payment_polling.js";
import { describe } from "./states.js";
import { followFaults, hashFaults } from "./strings.js";
import { serverNow } from "./api.js";

function showResult({ title, text }, tone) {
  const box = byId("claim-result");
  show(box, true);
  box.className = `panel ${tone}`;
  setText(byId("claim-title"), title);
  setText(byId("claim-text"), text);
  announce(title || text);
}

export function listenForClaims({ chain }, onPayments) {
  let stop = new AbortController();
  byId("claim").addEventListener("submit", (event) => {
    event.preventDefault();
    stop.abort();
    stop = new AbortController();
    const input = byId("hash");
    const hash = input.value.trim();
    input.setAttribute("aria-invalid", String(!isHash(hash)));
    if (!isHash(hash)) {
      showResult({ title: "", text: hashFaults.unreadable }, "bad");
      return;
    }
    const since = serverNow();
    showResult(describe(null, 0, chain.name), "progress");
    follow(hash, {
      signal: stop.signal,
      onFault: (fault) => showResult({ title: "", text: fault.passing ? followFaults.passing : followFaults.lasting }, "warn"),
      onAnswer(answer) {
        const view = describe(answer, serverNow() - since, chain.name);
        showResult(view, view.tone);
        onPayments(answer.payments);
      },
    });
  });
}
