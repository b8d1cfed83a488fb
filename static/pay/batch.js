/** Several calls in one prompt, where the wallet offers that (EIP-5792). */

import { isHash } from "./payment_polling.js";
import { WalletFault, ask, pause } from "./wallets.js";

const CAPABILITIES_LIMIT_MS = 3_000;
const STATUS_EVERY_MS = 1_500;
const DONE = 200;
const NOT_SENT = 400;

/** Whether the wallet takes all calls or none at all, or may learn to when it is asked. */
export async function offersBatch(provider, account, chainHex) {
  const asked = ask(provider, "wallet_getCapabilities", [account, [chainHex]]).catch(() => null);
  const told = await Promise.race([asked, pause(CAPABILITIES_LIMIT_MS)]);
  const status = (told?.[chainHex] ?? told?.["0x0"])?.atomic?.status;
  return status === "supported" || status === "ready";
}

/**
 * @returns {Promise<string>} the wallet's name for the batch
 */
export async function sendBatch(provider, from, chainId, calls) {
  const bare = calls.map(({ to, data, value }) => ({ to, data, value }));
  const wish = { version: "2.0.0", from, chainId, atomicRequired: true, calls: bare };
  try {
    const answer = await ask(provider, "wallet_sendCalls", [wish]);
    return String(answer?.id ?? answer);
  } catch (fault) {
    // A wallet that does not know the method, or not our wish, has sent nothing: two prompts do as well.
    if (fault instanceof WalletFault && fault.code === "unsupported") throw new WalletFault("no_batch");
    throw fault;
  }
}

/**
 * The EVM transaction a batch ended in; never settles when the signal fires or the wallet does not tell.
 * @returns {Promise<string>}
 */
export async function hashOfBatch(provider, id, signal) {
  while (!signal.aborted) {
    const told = await ask(provider, "wallet_getCallsStatus", [id]).catch(() => null);
    const hash = told?.receipts?.at(-1)?.transactionHash;
    if (told?.status >= DONE && isHash(hash)) return hash;
    if (told?.status >= NOT_SENT) throw new WalletFault("batch_dropped");
    await pause(STATUS_EVERY_MS);
  }
  return new Promise(() => {});
}
