/** A hint for the first paint after a reload; nothing depends on it. */

const KEY = "payment";
const KEPT_S = 86_400;

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
