/** The payment this page just made: followed until its state is final, whatever the wallet tells. */

import { serverNow } from "./api.js";
import { findPayment, follow } from "./payment_polling.js";
import { forget, remember } from "./local_hints.js";
import { isFinal } from "./states.js";
import { receiptOf } from "./wallets.js";

const RECEIPT_LIMIT_MS = 120_000;
const REPLACED_CHECK_S = 15;

/**
 * @param {string} wallet the wallet to be credited
 */
export function trackPayments(store, wallet, onPayments) {
  let stop = new AbortController();

  function patch(patch) {
    store.set({ tracked: { ...store.get().tracked, ...patch } });
  }

  /** Follows the replacement where the wallet sped the transaction up. */
  async function watchReplacement(quote, hash, signal) {
    const found = await findPayment(quote, { firstSeconds: REPLACED_CHECK_S, signal });
    if (found && found.toLowerCase() !== hash.toLowerCase()) track(found, quote);
  }

  /**
   * @param {any} quote the quote that was paid, where this page knows it
   */
  function track(hash, quote, since = serverNow()) {
    stop.abort();
    stop = new AbortController();
    const onChain = new AbortController();
    const { signal } = stop;
    signal.addEventListener("abort", () => onChain.abort());
    store.set({ tracked: { hash, since, answer: null, fault: null }, notice: null });
    remember({ wallet, hash, at: since });
    const nudge = follow(hash, {
      signal,
      onFault: (fault) => patch({ fault }),
      onAnswer(answer) {
        if (answer.state !== "unknown") onChain.abort();
        if (isFinal(answer.state)) forget();
        patch({ answer, fault: null });
        onPayments(answer.payments);
      },
    });
    const provider = store.get().wallet?.provider;
    if (provider) void receiptOf(provider, hash, RECEIPT_LIMIT_MS, onChain.signal).then((receipt) => receipt && nudge());
    if (quote) void watchReplacement(quote, hash, onChain.signal);
  }

  return {
    track,
    /** Leaves the payment to the list of recent ones. */
    release() {
      stop.abort();
      forget();
      store.set({ tracked: null });
    },
  };
}
