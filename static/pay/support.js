/** "Copy for support": everything that helps to find out what happened, and nothing that is secret. */

import { serverNow } from "./api.js";
import { announce, byId, setText, show } from "../shared/dom.js";
import { supportLines, words } from "./strings.js";

function supportText({ account, payer, wallet, chainId, tracked, notice, quoteFault }) {
  const fault = tracked?.fault ?? quoteFault;
  const told = {
    page: `${location.origin}${location.pathname}`,
    time: new Date(serverNow() * 1000).toISOString(),
    account: account.wallet,
    payer,
    walletName: wallet?.info.name,
    network: chainId && String(Number(chainId)),
    transaction: tracked?.hash,
    state: tracked && [tracked.answer?.state ?? "unknown", tracked.answer?.payments[0]?.cause].filter(Boolean).join(", "),
    notice: notice && [notice.title, notice.said].filter(Boolean).join(" / "),
    reference: fault && [fault.code, fault.reference].filter(Boolean).join(" "),
  };
  const lines = Object.entries(told).filter(([, value]) => value);
  return lines.map(([name, value]) => `${supportLines[name]}: ${value}`).join("\n");
}

export function offerSupportText(store) {
  const shown = byId("support-text");
  byId("support").addEventListener("click", async () => {
    const text = supportText(store.get());
    setText(shown, text);
    const copied = await navigator.clipboard?.writeText(text).then(() => true, () => false);
    show(shown, !copied);
    setText(byId("support-done"), copied ? words.copied : words.notCopied);
    announce(copied ? words.copied : words.notCopied);
  });
}
