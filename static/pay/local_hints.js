/** Stores hints for a later visit. Nothing depends on them: storage may be off or full. */

const PAYMENT_KEY = "payment";
const PAYMENT_HINT_LIFETIME_S = 86_400;
const WALLET_KEY = "wallet";
const ATTEMPT_KEY = "attempt";
const ATTEMPT_HINT_LIFETIME_S = 3600;

/** Sorts the wallet used last to the front. */
export function sortLastUsedFirst(wallets) {
  try {
    const last = localStorage.getItem(WALLET_KEY);
    return [...wallets].sort((a, b) => Number(b.info.rdns === last) - Number(a.info.rdns === last));
  } catch {
    return wallets;
  }
}

export function saveLastWallet({ info }) {
  try {
    localStorage.setItem(WALLET_KEY, info.rdns ?? "");
  } catch {
    // A hint is not worth an error.
  }
}

export function savePaymentHint(hint) {
  try {
    localStorage.setItem(PAYMENT_KEY, JSON.stringify(hint));
  } catch {
    // A hint is not worth an error.
  }
}

export function clearPaymentHint() {
  try {
    localStorage.removeItem(PAYMENT_KEY);
  } catch {
    // A hint is not worth an error.
  }
}

/**
 * @returns {{hash: string, at: number} | null}
 */
export function loadPaymentHint(wallet, now) {
  try {
    const hint = JSON.parse(localStorage.getItem(PAYMENT_KEY) ?? "null");
    return hint?.wallet === wallet && now - hint.at < PAYMENT_HINT_LIFETIME_S ? hint : null;
  } catch {
    return null;
  }
}

/** Stores what a wallet was asked to pay, without the calls. */
export function saveAttemptHint({ wallet, quotes }) {
  try {
    localStorage.setItem(ATTEMPT_KEY, JSON.stringify({ wallet, quotes: quotes.map(({ calls, ...quote }) => quote) }));
  } catch {
    // A hint is not worth an error.
  }
}

export function clearAttemptHint() {
  try {
    localStorage.removeItem(ATTEMPT_KEY);
  } catch {
    // A hint is not worth an error.
  }
}

/**
 * @returns {any[] | null} quotes
 */
export function loadAttemptHint(wallet, now) {
  try {
    const hint = JSON.parse(localStorage.getItem(ATTEMPT_KEY) ?? "null");
    const isRecent = hint.quotes.every(({ deadline }) => now < deadline + ATTEMPT_HINT_LIFETIME_S);
    return hint.wallet === wallet && hint.quotes.length && isRecent ? hint.quotes : null;
  } catch {
    return null;
  }
}
