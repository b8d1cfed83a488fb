/** "Paid from elsewhere?": claims and polls a pasted transaction hash. */

import { announce, requireElement, setText, setVisible } from "../shared/dom.js";
import { getServerTime } from "./api.js";
import { isHash, pollPayment } from "./payment_polling.js";
import { describePayment, narrowAnswer } from "./states.js";
import { linkSupport } from "./support.js";
import { hashFaults, pollingFaults } from "./strings.js";

function showClaim({ title, text }, tone, { support }, hash) {
  document.getElementById("claim-payments")?.remove();
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
  const input = requireElement("hash");
  let polling = new AbortController();

  function poll(hash) {
    polling = new AbortController();
    const since = getServerTime();
    pollPayment(hash, {
      signal: polling.signal,
      onFault: (fault) => showClaim({ title: fault.isTemporary ? pollingFaults.title : "", text: fault.isTemporary ? pollingFaults.temporary : pollingFaults.permanent }, "warn", config, hash),
      onAnswer(answer) {
        const view = describePayment(narrowAnswer(answer, config.wallet), getServerTime() - since, chain.name);
        showClaim(view, view.tone, config, hash);
        onPayments(answer.payments);
      },
    });
  }

  requireElement("claim").addEventListener("submit", (event) => {
    event.preventDefault();
    polling.abort();
    const hash = input.value.trim();
    input.setAttribute("aria-invalid", String(!isHash(hash)));
    if (!isHash(hash)) return showClaim({ title: "", text: hashFaults.unreadable }, "bad", config, hash);
    showClaim(describePayment(null, 0, chain.name), "progress", config, hash);
    return poll(hash);
  });
  // The page came with an answer.
  if (isHash(input.value)) poll(input.value);
}
