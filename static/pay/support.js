/** How to reach support, and "Copy details for support": what helps to find out what happened. Contains no secrets. */

import { announce, createElement, requireElement, setText, setVisible } from "../shared/dom.js";
import { getServerTime } from "./api.js";
import { phrases, supportLines, supportSubject } from "./strings.js";

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
    state: tracked && [tracked.answer?.state ?? "unknown", tracked.answer?.cause ?? tracked.answer?.payments[0]?.cause].filter(Boolean).join(", "),
    notice: notice && [notice.title, notice.walletMessage].filter(Boolean).join(" / "),
    attempt: attempt && [attempt.reason, attempt.state, attempt.message].filter(Boolean).join(", "),
    reference: fault && [fault.code, fault.reference].filter(Boolean).join(" "),
  };
  const lines = Object.entries(facts).filter(([, value]) => value);
  return lines.map(([name, value]) => `${supportLines[name]}: ${value}`).join("\n");
}

function buildSupportUrl(support, reference) {
  if (support.startsWith("mailto:")) return `${support}?subject=${encodeURIComponent(supportSubject(reference))}`;
  const url = new URL(support);
  url.searchParams.set("reference", reference);
  return url.href;
}

/** Names what the visitor would ask about: the payment, else the failed request, else the account. */
export const chooseReference = ({ tracked, quoteFault, account }) =>
  tracked?.hash ?? (quoteFault?.reference || account.wallet);

/**
 * Turns "ask support" in messages into links that carry a reference: the nearest `data-reference`, or a default.
 * @param {string | null} support where support is reached
 */
export function linkSupport(support, reference) {
  if (!support) return;
  for (const node of document.querySelectorAll(".text, .why")) {
    const [, before, words, after] = /^(.*)(ask support)(.*)$/i.exec(node.textContent) ?? [];
    if (!words) continue;
    const link = node.querySelector("a") ?? createElement("a", {}, words);
    link.href = buildSupportUrl(support, node.closest("[data-reference]")?.dataset.reference ?? reference);
    if (!link.isConnected) node.replaceChildren(before, link, after);
  }
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
