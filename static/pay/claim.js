/** "Paid from elsewhere?": claims and polls a pasted transaction hash. */

import { announce, requireElement, setText, setVisible } from "../shared/dom.js";
import { getServerTime } from "./api.js";
import { isHash, pollPayment } from "./payment_polling.js";
import { describePayment } from "./states.js";
import { linkSupport } from "./support.js";
import { hashFaults, pollingFaults } from "./strings.js";

function showClaim({ title, text }, tone, { support }, hash) {
  const box = requireElement("claim-result");
  setVisible(box, true);
  box.className = `panel ${tone}`;
  setText(requireElement("claim-title"), title);
  setText(requireElement("claim-text"), text);
  box.dataset.reference = hash;
  linkSupport(support, hash);
  announce(title || text);
}

export function bindClaimForm(config, onPayments) {
  const { chain } = config;
  let polling = new AbortController();
  requireElement("claim").addEventListener("submit", (event) => {
    event.preventDefault();
    polling.abort();
    polling = new AbortController();
    const input = requireElement("hash");
    const hash = input.value.trim();
    input.setAttribute("aria-invalid", String(!isHash(hash)));
    if (!isHash(hash)) {
      showClaim({ title: "", text: hashFaults.unreadable }, "bad", config, hash);
      return;
    }
    const since = getServerTime();
    showClaim(describePayment(null, 0, chain.name), "progress", config, hash);
    pollPayment(hash, {
      signal: polling.signal,
      onFault: (fault) => showClaim({ title: fault.isTemporary ? pollingFaults.title : "", text: fault.isTemporary ? pollingFaults.temporary : pollingFaults.permanent }, "warn", config, hash),
      onAnswer(answer) {
        const view = describePayment(answer, getServerTime() - since, chain.name);
        showClaim(view, view.tone, config, hash);
        onPayments(answer.payments);
      },
    });
  });
}
