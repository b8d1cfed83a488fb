/** Polls a payment: claims it, and asks again when the service says so, until it no longer changes. */

import { ApiFault, claimPayment } from "./api.js";
import { mayChange } from "./states.js";

const DEFAULT_WAIT_S = 30;
const MAX_RETRY_S = 60;
const MAX_WAIT_S = 3600;

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
      return mayChange(answer) ? Math.max(1, answer.retry_after ?? DEFAULT_WAIT_S) : null;
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
