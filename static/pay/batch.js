/** Sends several calls in one wallet prompt (EIP-5792). */

import { isHash } from "./payment_polling.js";
import { WalletFault, pause, requestWallet, tryRead } from "./wallets.js";

const CAPABILITIES_LIMIT_MS = 3_000;
const STATUS_INTERVAL_MS = 1_500;
const STATUS_CONFIRMED = 200;
const STATUS_FAILED = 400;

/** Wallets that refused a batch on this visit, whatever they offer. */
const refusers = new WeakSet();

export const rememberRefusal = (provider) => refusers.add(provider);

/** Whether the wallet executes all calls or none. "ready" wallets upgrade the account when asked. */
export async function supportsBatch(provider, account, chainHex) {
  if (refusers.has(provider)) return false;
  const request = requestWallet(provider, "wallet_getCapabilities", [account, [chainHex]]).catch(() => null);
  const capabilities = await Promise.race([request, pause(CAPABILITIES_LIMIT_MS)]);
  const status = (capabilities?.[chainHex] ?? capabilities?.["0x0"])?.atomic?.status;
  return status === "supported" || status === "ready";
}

/**
 * @returns {Promise<string>} the wallet's identifier of the batch
 */
export async function sendBatch(provider, from, chainId, quoteCalls) {
  const calls = quoteCalls.map(({ to, data, value }) => ({ to, data, value }));
  const batch = { version: "2.0.0", from, chainId, atomicRequired: true, calls };
  try {
    const answer = await requestWallet(provider, "wallet_sendCalls", [batch]);
    return String(answer?.id ?? answer);
  } catch (fault) {
    // A wallet without this method sent nothing: fall back to one prompt per call.
    if (fault instanceof WalletFault && fault.code === "unsupported") throw new WalletFault("no_batch");
    throw fault;
  }
}

/**
 * Waits for the batch's EVM transaction.
 * @returns {Promise<string>} its hash; empty if the wallet gives none in time
 */
export async function waitForBatchHash(provider, id, limitMs) {
  for (const end = Date.now() + limitMs; Date.now() < end; ) {
    const batch = await tryRead(provider, "wallet_getCallsStatus", [id]);
    // Wallets have called batches failed that were mined later: only the chain decides.
    if (batch?.status >= STATUS_FAILED) throw new WalletFault("batch_dropped", "", true);
    const hash = batch?.receipts?.at(-1)?.transactionHash;
    if (batch?.status >= STATUS_CONFIRMED && isHash(hash)) return hash;
    await pause(STATUS_INTERVAL_MS);
  }
  return "";
}
