/** Simulates a call on the chain before the wallet is asked to send it. */

/** The contracts' errors by selector. A test recomputes them from the compiled contracts. */
const CONTRACT_ERRORS = new Map([
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

/** Finds a revert's data: wallets and nodes nest it differently. */
function findRevertData(error) {
  for (let depth = 0, inner = error; inner && depth < 5; depth += 1) {
    if (typeof inner === "string") return /^0x[0-9a-f]*$/i.test(inner) ? inner : null;
    if (typeof inner.data === "string" && inner.data.startsWith("0x")) return inner.data;
    inner = inner.data ?? inner.originalError ?? inner.cause;
  }
  return null;
}

/**
 * Executes the call on the node without sending it.
 * @returns {Promise<{name: string} | null>} the contract's refusal, with an empty name for an unknown error; null if the
 *   call would succeed or nothing could be learned
 */
export async function simulateCall(provider, from, { to, data }) {
  try {
    await provider.request({ method: "eth_call", params: [{ from, to, data }, "latest"] });
    return null;
  } catch (error) {
    const revertData = findRevertData(error);
    const reverted = revertData !== null || error?.code === 3 || /revert/i.test(error?.message ?? "");
    return reverted ? { name: CONTRACT_ERRORS.get((revertData ?? "").slice(0, 10)) ?? "" } : null;
  }
}
