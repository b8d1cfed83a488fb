/** The payment this page just made, polled until its state is final. */

import { getServerTime } from "./api.js";
import { clearPaymentHint, savePaymentHint } from "./local_hints.js";
import { findPaymentForQuote, pollPayment } from "./payment_polling.js";
import { isFinal } from "./states.js";
import { waitForReceipt } from "./wallets.js";

const RECEIPT_LIMIT_MS = 120_000;
const REPLACEMENT_CHECK_S = 15;

/**
 * @param {string} wallet the wallet to be credited
 */
export function createPaymentTracker(store, wallet, onPayments) {
  let polling = new AbortController();

  function update(patch) {
    store.set({ tracked: { ...store.get().tracked, ...patch } });
  }

  /** Tracks the replacement if the wallet replaced the transaction. */
  async function watchReplacement(quote, hash, signal) {
    const replacement = await findPaymentForQuote(quote, { firstSeconds: REPLACEMENT_CHECK_S, signal });
    if (replacement && replacement.toLowerCase() !== hash.toLowerCase()) track(replacement, quote);
  }

  /**
   * @param {any} quote the quote that was paid, if this page knows it
   */
  function track(hash, quote, since = getServerTime()) {
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
        if (isFinal(answer.state)) clearPaymentHint();
        update({ answer, fault: null });
        onPayments(answer.payments);
      },
    });
    const provider = store.get().wallet?.provider;
    if (provider) void waitForReceipt(provider, hash, RECEIPT_LIMIT_MS, search.signal).then((receipt) => receipt && pollNow());
    if (quote) void watchReplacement(quote, hash, search.signal);
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
