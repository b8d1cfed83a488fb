/** Polls a payment: claims it, and asks again when the service says so, until its state is final. */

import { ApiFault, claimPayment, fetchAccount } from "./api.js";
import { isFinal } from "./states.js";

const DEFAULT_WAIT_S = 30;
const MAX_RETRY_S = 60;
const MAX_WAIT_S = 3600;
const MAX_SEARCH_WAIT_S = 60;

export const isHash = (text) => typeof text === "string" && /^0x[0-9a-f]{64}$/i.test(text);

/** Reads the EVM transaction from a payment's identity `<chain>:<gateway>:<tx hash>:<ordinal>`. */
export const getTxHash = (payment) => payment.payment.split(":")[2];

export const buildReceiptUrl = (payment) => `/receipt/${getTxHash(payment)}/${payment.ordinal}`;

/** Creates a pause that ends early when `wake` is called or the signal fires. */
function createSleeper(signal) {
  let finish = () => {};
  signal.addEventListener("abort", () => finish());
  return {
    wake: () => finish(),
    sleep: (seconds) =>
      new Promise((resolve) => {
        const timer = setTimeout(resolve, seconds * 1000);
        finish = () => {
          clearTimeout(timer);
          resolve(undefined);
        };
      }),
  };
}

/**
 * Claims the transaction's payments repeatedly. Claiming is idempotent and drives the credit.
 * @returns {() => void} polls at once
 */
export function pollPayment(hash, { onAnswer, onFault, signal }) {
  const { wake, sleep } = createSleeper(signal);
  let failures = 0;
  const poll = async () => {
    try {
      const answer = await claimPayment(hash);
      if (signal.aborted) return null;
      failures = 0;
      onAnswer(answer);
      return isFinal(answer.state) ? null : Math.max(1, answer.retry_after ?? DEFAULT_WAIT_S);
    } catch (fault) {
      if (!(fault instanceof ApiFault)) throw fault;
      if (signal.aborted) return null;
      onFault(fault);
      failures += 1;
      return fault.isTemporary ? Math.max(fault.retryAfter ?? 0, Math.min(2 ** failures, MAX_RETRY_S)) : null;
    }
  };
  const run = async () => {
    for (let wait = await poll(); wait !== null && !signal.aborted; wait = await poll()) {
      await sleep(Math.min(wait, MAX_WAIT_S));
      if (signal.aborted) return;
    }
  };
  void run();
  return wake;
}

const isSameAddress = (a, b) => a?.toLowerCase() === b?.toLowerCase();

/**
 * Looks for the payment that used a quote, in case the wallet gives no hash. A sequence can be used only once.
 * @returns {Promise<string>} the EVM transaction's hash; empty if another payment used the sequence; never settles
 *   if the signal fires first
 */
export async function findPaymentForQuote(quote, { firstSeconds, signal }) {
  const { sleep } = createSleeper(signal);
  for (let wait = firstSeconds; ; wait = Math.min(wait * 1.3, MAX_SEARCH_WAIT_S)) {
    await sleep(wait);
    if (signal.aborted) return new Promise(() => {});
    const account = await fetchAccount(quote.wallet).catch(() => null);
    const match = account?.payments.find(
      (payment) => payment.sequence === quote.sequence && isSameAddress(payment.gateway, quote.gateway),
    );
    if (!match || signal.aborted) continue;
    return match.amount === quote.amount && isSameAddress(match.payer, quote.payer) ? getTxHash(match) : "";
  }
}
