/** The payment this page just made, polled until it no longer changes. */

import { getServerTime } from "./api.js";
import { clearPaymentHint, savePaymentHint } from "./local_hints.js";
import { pollPayment } from "./payment_polling.js";
import { mayChange, narrowAnswer } from "./states.js";
import { waitForReceipt } from "./wallets.js";

const RECEIPT_LIMIT_MS = 120_000;

/**
 * @param {string} wallet the wallet to be credited
 */
export function createPaymentTracker(store, wallet, { onPayments, onFailed }) {
  let polling = new AbortController();

  function update(patch) {
    store.set({ tracked: { ...store.get().tracked, ...patch } });
  }

  /** Tracks a payment. If the wallet replaces the transaction, the search for its quote finds the other one. */
  function track(hash, since = getServerTime()) {
    polling.abort();
    polling = new AbortController();
    const search = new AbortController();
    const { signal } = polling;
    signal.addEventListener("abort", () => search.abort());
    store.set({ tracked: { hash, since, answer: null, fault: null }, notice: null });
    savePaymentHint({ wallet, hash, at: since });
    const pollNow = pollPayment(hash, {
      signal,
      onFault: (fault) => update({ fault }),
      onAnswer(answer) {
        if (answer.state !== "unknown") search.abort();
        if (!mayChange(answer)) clearPaymentHint();
        if (answer.state === "failed") onFailed();
        update({ answer: narrowAnswer(answer, wallet), fault: null });
        onPayments(answer.payments);
      },
    });
    const provider = store.get().wallet?.provider;
    if (provider) void waitForReceipt(provider, hash, RECEIPT_LIMIT_MS, search.signal).then((receipt) => receipt && pollNow());
  }

  return {
    track,
    /** Leaves the payment to the list of recent payments. */
    stop() {
      polling.abort();
      clearPaymentHint();
      store.set({ tracked: null });
    },
  };
}
