/** What the chain would say to a call, asked before the wallet is. */

/** The contracts' named refusals by selector; a test recomputes them from the compiled contracts. */
const REFUSALS = new Map([
  ["0xbfc6c337", "NotRegistered"],
  ["0xe894c3b8", "AlreadyRegistered"],
  ["0xbd49034f", "BelowMinimum"],
  ["0xbfb22adf", "DeadlinePassed"],
  ["0x8baa579f", "InvalidSignature"],
  ["0x66f98ab8", "AboveRateCeiling"],
  ["0x53118454", "ReceivedOther"],
  ["0xd93c0665", "EnforcedPause"],
  ["0xe450d38c", "ERC20InsufficientBalance"],
  ["0xfb8f41b2", "ERC20InsufficientAllowance"],
]);

/** A revert's data, wherever the wallet or its node put it. */
function revertData(error) {
  for (let depth = 0, one = error; one && depth < 5; depth += 1) {
    if (typeof one === "string") return /^0x[0-9a-f]*$/i.test(one) ? one : null;
    if (typeof one.data === "string" && one.data.startsWith("0x")) return one.data;
    one = one.data ?? one.originalError ?? one.cause;
  }
  return null;
}

/**
 * Runs the call on the node without sending it.
 * @returns {Promise<{name: string} | null>} the contract's refusal, its name empty where it is not one of ours; null
 *   where nothing speaks against it, or nothing could be learned
 */
export async function refusalOf(provider, from, { to, data }) {
  try {
    await provider.request({ method: "eth_call", params: [{ from, to, data }, "latest"] });
    return null;
  } catch (error) {
    const found = revertData(error);
    const reverted = found !== null || error?.code === 3 || /revert/i.test(error?.message ?? "");
    return reverted ? { name: REFUSALS.get((found ?? "").slice(0, 10)) ?? "" } : null;
  }
}
