/** Keeps a current price on the page: quotes the amount for the payer, and renews the quote when it expires. */

import { ApiFault, fetchQuote, getServerTime } from "./api.js";

const TYPING_PAUSE_MS = 350;
const DEFAULT_RETRY_S = 15;

/** A quote that expires sooner is renewed before a wallet gets it. */
export const MIN_QUOTE_SECONDS = 30;

/** Problems that end without the payer, besides overload and server errors. */
const TEMPORARY_PROBLEMS = new Set(["rate_unavailable", "paused"]);

export const getSecondsLeft = (quote) => quote.deadline - getServerTime();

/**
 * @param {string} wallet the wallet to be credited
 */
export function createQuoteKeeper(store, wallet) {
  let latestRequest = 0;
  let timer;

  function scheduleRenewal(ms) {
    clearTimeout(timer);
    timer = setTimeout(renewIfIdle, ms);
  }

  function renewIfIdle() {
    const { busy, tracked } = store.get();
    if (!busy && !tracked) void renew();
  }

  function handleFault(fault) {
    const seconds = fault.isTemporary || TEMPORARY_PROBLEMS.has(fault.code) ? (fault.retryAfter ?? DEFAULT_RETRY_S) : null;
    store.set({ quote: null, quoteFault: fault, quoting: false, retryAt: seconds && getServerTime() + seconds });
    if (seconds) scheduleRenewal(seconds * 1000);
  }

  /** Requests a quote. The answer to an earlier request is ignored. */
  async function renew() {
    clearTimeout(timer);
    latestRequest += 1;
    const request = latestRequest;
    const { cents, payer, account } = store.get();
    if (cents === null || cents < account.minimum_cents || cents > account.maximum_cents) return;
    store.set({ quoting: true });
    try {
      const quote = await fetchQuote({ wallet, cents, ...(payer ? { payer } : {}) });
      const seconds = Math.max(1, getSecondsLeft(quote));
      if (request === latestRequest) store.set({ quote: { ...quote, payer, seconds }, quoteFault: null, quoting: false, sent: 0, permit: null });
    } catch (fault) {
      if (!(fault instanceof ApiFault)) throw fault;
      if (request === latestRequest) handleFault(fault);
    }
  }

  return {
    renew,
    /** Drops the pending request: the amount cannot be quoted. */
    cancel() {
      clearTimeout(timer);
      latestRequest += 1;
    },
    renewAfterTyping: () => scheduleRenewal(TYPING_PAUSE_MS),
    /** Renews an expired quote, unless the page is hidden or the wallet is open. */
    renewIfExpired() {
      const { quote, quoting } = store.get();
      if (quote && !quoting && !document.hidden && getSecondsLeft(quote) <= 0) renewIfIdle();
    },
  };
}
