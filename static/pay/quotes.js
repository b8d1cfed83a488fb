/** Keeps a price on the page: asked for the amount and the payer, renewed when it runs out. */

import { ApiFault, fetchQuote, serverNow } from "./api.js";

const TYPING_PAUSE_MS = 350;
const RETRY_S = 15;

/** A quote with less left than this is not handed to a wallet. */
export const FRESH_S = 30;

/** Faults that pass by themselves, beside the ones that any server may have. */
const KNOWN_TO_PASS = new Set(["rate_unavailable", "paused"]);

export const secondsLeft = (quote) => quote.deadline - serverNow();

/**
 * @param {string} wallet the wallet to be credited
 */
export function keepQuote(store, wallet) {
  let turn = 0;
  let timer;

  function renewIn(ms) {
    clearTimeout(timer);
    timer = setTimeout(renewWhenIdle, ms);
  }

  function renewWhenIdle() {
    const { busy, tracked } = store.get();
    if (!busy && !tracked) void renew();
  }

  function failed(fault) {
    store.set({ quote: null, quoteFault: fault, quoting: false });
    if (fault.passing || KNOWN_TO_PASS.has(fault.code)) renewIn((fault.retryAfter ?? RETRY_S) * 1000);
  }

  /** Asks for a price; a later wish makes an earlier answer void. */
  async function renew() {
    clearTimeout(timer);
    turn += 1;
    const mine = turn;
    const { cents, payer, account } = store.get();
    if (cents === null || cents < account.minimum_cents || cents > account.maximum_cents) return;
    store.set({ quoting: true });
    try {
      const quote = await fetchQuote({ wallet, cents, ...(payer ? { payer } : {}) });
      const seconds = Math.max(1, secondsLeft(quote));
      if (mine === turn) store.set({ quote: { ...quote, payer, seconds }, quoteFault: null, quoting: false, sent: 0, permit: null });
    } catch (fault) {
      if (!(fault instanceof ApiFault)) throw fault;
      if (mine === turn) failed(fault);
    }
  }

  return {
    renew,
    /** Forgets what was being asked; there is nothing to quote. */
    cancel() {
      clearTimeout(timer);
      turn += 1;
    },
    /** Renews after the visitor stopped typing. */
    renewSoon: () => renewIn(TYPING_PAUSE_MS),
    /** Renews a price that ran out, unless nobody looks or the wallet is open. */
    tick() {
      const { quote, quoting } = store.get();
      if (quote && !quoting && !document.hidden && secondsLeft(quote) <= 0) renewWhenIdle();
    },
  };
}
