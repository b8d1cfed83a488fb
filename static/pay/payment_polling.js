/** Following a payment: claim it, ask again when the service says so, until its state is final. */

import { ApiFault, claimPayment, fetchAccount } from "./api.js";
import { isFinal } from "./states.js";

const UNTOLD_WAIT_S = 30;
const SLOWEST_RETRY_S = 60;
const LONGEST_WAIT_S = 3600;
const SLOWEST_SEARCH_S = 60;

export const isHash = (text) => typeof text === "string" && /^0x[0-9a-f]{64}$/i.test(text);

/** The EVM transaction of a payment, from its identity `<chain>:<gateway>:<tx hash>:<ordinal>`. */
export const hashOf = (payment) => payment.payment.split(":")[2];

export const receiptUrl = (payment) => `/receipt/${hashOf(payment)}/${payment.ordinal}`;

/** A pause that ends early when `nudge` is called, or for good when the signal fires. */
function sleeper(signal) {
  let wake = () => {};
  signal.addEventListener("abort", () => wake());
  return {
    nudge: () => wake(),
    sleep: (seconds) =>
      new Promise((resolve) => {
        const timer = setTimeout(resolve, seconds * 1000);
        wake = () => {
          clearTimeout(timer);
          resolve(undefined);
        };
      }),
  };
}

/**
 * Claims the transaction's payments again and again; claiming is harmless and drives the credit.
 * @returns {() => void} asks again at once
 */
export function follow(hash, { onAnswer, onFault, signal }) {
  const { nudge, sleep } = sleeper(signal);
  let failures = 0;
  const step = async () => {
    try {
      const answer = await claimPayment(hash);
      if (signal.aborted) return null;
      failures = 0;
      onAnswer(answer);
      return isFinal(answer.state) ? null : Math.max(1, answer.retry_after ?? UNTOLD_WAIT_S);
    } catch (fault) {
      if (!(fault instanceof ApiFault)) throw fault;
      if (signal.aborted) return null;
      onFault(fault);
      failures += 1;
      return fault.passing ? Math.max(fault.retryAfter ?? 0, Math.min(2 ** failures, SLOWEST_RETRY_S)) : null;
    }
  };
  const run = async () => {
    for (let wait = await step(); wait !== null && !signal.aborted; wait = await step()) {
      await sleep(Math.min(wait, LONGEST_WAIT_S));
      if (signal.aborted) return;
    }
  };
  void run();
  return nudge;
}

const isSame = (one, other) => one?.toLowerCase() === other?.toLowerCase();

/**
 * Looks for the payment that a quote led to, for when the wallet does not tell its hash: the quote's
 * sequence can be used once, so whoever used it decides.
 * @returns {Promise<string>} the EVM transaction's hash, empty where another payment took the quote's place;
 *   never settles when the signal fires first
 */
export async function findPayment(quote, { firstSeconds, signal }) {
  const { sleep } = sleeper(signal);
  for (let wait = firstSeconds; ; wait = Math.min(wait * 1.3, SLOWEST_SEARCH_S)) {
    await sleep(wait);
    if (signal.aborted) return new Promise(() => {});
    const account = await fetchAccount(quote.wallet).catch(() => null);
    const found = account?.payments.find((one) => one.sequence === quote.sequence && isSame(one.gateway, quote.gateway));
    if (!found || signal.aborted) continue;
    return found.amount === quote.amount && isSame(found.payer, quote.payer) ? hashOf(found) : "";
  }
}
