/** "Copy details for support": what helps to find out what happened. Contains no secrets. */

import { announce, requireElement, setText, setVisible } from "../shared/dom.js";
import { getServerTime } from "./api.js";
import { phrases, supportLines } from "./strings.js";

function buildSupportText({ account, payer, wallet, chainId, tracked, notice, attempt, quoteFault }) {
  const fault = tracked?.fault ?? quoteFault;
  const facts = {
    page: `${location.origin}${location.pathname}`,
    time: new Date(getServerTime() * 1000).toISOString(),
    account: account.wallet,
    payer,
    walletName: wallet?.info.name,
    network: chainId && String(Number(chainId)),
    transaction: tracked?.hash,
    state: tracked && [tracked.answer?.state ?? "unknown", tracked.answer?.payments[0]?.cause].filter(Boolean).join(", "),
    notice: notice && [notice.title, notice.walletMessage].filter(Boolean).join(" / "),
    attempt: attempt && [attempt.reason, attempt.state, attempt.message].filter(Boolean).join(", "),
    reference: fault && [fault.code, fault.reference].filter(Boolean).join(" "),
  };
  const lines = Object.entries(facts).filter(([, value]) => value);
  return lines.map(([name, value]) => `${supportLines[name]}: ${value}`).join("\n");
}

export function bindSupportButton(store) {
  const box = requireElement("support-text");
  requireElement("support").addEventListener("click", async () => {
    const text = buildSupportText(store.get());
    setText(box, text);
    const copied = await navigator.clipboard?.writeText(text).then(() => true, () => false);
    setVisible(box, !copied);
    setText(requireElement("support-done"), copied ? phrases.copied : phrases.notCopied);
    announce(copied ? phrases.copied : phrases.notCopied);
  });
}
