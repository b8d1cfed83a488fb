/** Hints for a later visit; nothing depends on them. */

const KEY = "payment";
const KEPT_S = 86_400;

const LAST_WALLET = "wallet";

/** Known wallets, the one used last in front. */
export function lastFirst(wallets) {
  try {
    const last = localStorage.getItem(LAST_WALLET);
    return [...wallets].sort((one, other) => Number(other.info.rdns === last) - Number(one.info.rdns === last));
  } catch {
    return wallets;
  }
}

export function rememberWallet({ info }) {
  try {
    localStorage.setItem(LAST_WALLET, info.rdns ?? "");
  } catch {
    // Storage may be off or full.
  }
}

export function remember(hint) {
  try {
    localStorage.setItem(KEY, JSON.stringify(hint));
  } catch {
    // Storage may be off or full.
  }
}

export function forget() {
  try {
    localStorage.removeItem(KEY);
  } catch {
    // Storage may be off.
  }
}

/**
 * @returns {{hash: string, at: number} | null}
 */
export function remembered(wallet, now) {
  try {
    const hint = JSON.parse(localStorage.getItem(KEY) ?? "null");
    return hint?.wallet === wallet && now - hint.at < KEPT_S ? hint : null;
  } catch {
    return null;
  }
}
