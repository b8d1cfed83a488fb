/** The payment that a wallet was asked for. It may be sent whatever the wallet answers: it is searched for until decided. */

import { ApiFault, getServerTime } from "./api.js";
import { clearAttemptHint, loadAttemptHint, saveAttemptHint } from "./local_hints.js";
import { isSameSequence, readQuoteStatus } from "./quote_status.js";
import { attemptNotices } from "./strings.js";
import { WalletFault, pause } from "./wallets.js";

const FIRST_CHECK_S = 6;
const MAX_CHECK_PAUSE_S = 60;

/**
 * @typedef {object} Attempt
 * @property {any[]} quotes what the wallet was asked to pay; one sequence, so at most one of them is paid
 * @property {string} reason why the outcome is unclear; empty while the wallet is asked or the payment is tracked
 * @property {string} message the wallet's words
 * @property {"open" | "undecided"} state as in `quote_status.js`
 */

/**
 * @param {string} wallet the wallet to be credited
 * @param {(hash: string) => void} onPaid
 * @param {() => Promise<void>} readAccount
 */
export function createAttempts(store, wallet, onPaid, readAccount) {
  let search = new AbortController();
  let decide = () => {};
  let seen = "";

  function end() {
    search.abort();
    clearAttemptHint();
    store.set({ attempt: null });
    decide();
  }

  /** Acts on what is known. */
  function apply({ state, hash }) {
    if (state === "open" || state === "undecided") {
      store.set({ attempt: { ...store.get().attempt, state } });
      return;
    }
    end();
    if (state === "paid") onPaid(hash);
    else store.set({ notice: attemptNotices[state] });
    // The notice speaks of the recent payments.
    if (state === "superseded") void readAccount().catch(() => {});
  }

  /** Reads the state once. An outage leaves it as it was. */
  async function check(signal) {
    const { quotes } = store.get().attempt;
    try {
      const status = await readQuoteStatus(quotes);
      if (!signal.aborted) apply(status);
    } catch (fault) {
      if (!(fault instanceof ApiFault)) throw fault;
    }
  }

  async function run(signal) {
    for (let wait = FIRST_CHECK_S; ; wait = Math.min(wait * 1.3, MAX_CHECK_PAUSE_S)) {
      await pause(wait * 1000);
      if (signal.aborted) return;
      await check(signal);
    }
  }

  function startSearch() {
    search.abort();
    search = new AbortController();
    void run(search.signal);
  }

  function set(attempt) {
    store.set({ attempt });
    saveAttemptHint({ wallet, quotes: attempt.quotes });
    startSearch();
  }

  return {
    /**
     * Notes that the wallet is asked to pay this quote.
     * @returns {Promise<void>} settles when the attempt is decided
     */
    begin(quote) {
      const earlier = store.get().attempt?.quotes ?? [];
      set({ quotes: [...earlier, quote], reason: "", message: "", state: "open" });
      return new Promise((resolve) => {
        decide = resolve;
      });
    },
    /** Forgets the latest request: it certainly pays nothing. */
    cancel() {
      const { attempt } = store.get();
      const quotes = attempt?.quotes.slice(0, -1) ?? [];
      if (quotes.length) set({ ...attempt, quotes, reason: "unclear", message: "" });
      else if (attempt) end();
    },
    /** Tells why the outcome is unclear. */
    explain(reason, message = "") {
      const { attempt } = store.get();
      if (attempt) set({ ...attempt, reason, message });
    },
    /** Takes up the attempt of an earlier visit. */
    resume() {
      const quotes = loadAttemptHint(wallet, getServerTime());
      if (quotes) set({ quotes, reason: "resumed", message: "", state: "open" });
    },
    /** Asks at once what became of the attempt if the list has a payment of its sequence that it had not before. */
    async observe(payments) {
      const { attempt } = store.get();
      const match = attempt && payments.find((payment) => isSameSequence(payment, attempt.quotes[0]));
      if (!match || match.payment === seen) return;
      seen = match.payment;
      startSearch();
      await check(search.signal);
    },
    /**
     * Checks that the wallet may be asked to pay this quote. False if the earlier payment has arrived.
     * Raises unless the contract takes at most one of the two.
     */
    async allowAnother(quote) {
      if (!store.get().attempt) return true;
      await check(search.signal);
      const { attempt, tracked } = store.get();
      if (tracked) return false;
      if (attempt && !isSameSequence(attempt.quotes[0], quote)) throw new WalletFault("may_be_paid");
      return true;
    },
  };
}
