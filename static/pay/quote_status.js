/** Whether a quote was paid, and whether it still can be. The one place that knows how to find out. */

import { fetchAccount, getServerTime } from "./api.js";
import { getTxHash } from "./payment_polling.js";
import { tryRead } from "./wallets.js";

/** The service's node may be this far behind the wallet's. */
const NODE_LAG_S = 60;

/**
 * `open`: can still be paid · `undecided`: its deadline is over, and a payment may still show up · `void`: never will be
 * paid · `paid`: by the payment with `hash` · `superseded`: another payment has its sequence.
 * @typedef {{state: "open" | "undecided" | "void" | "paid" | "superseded", hash: string}} QuoteStatus
 */

const isSameAddress = (a, b) => a?.toLowerCase() === b?.toLowerCase();

/** Whether at most one of two quotes can be paid: the contract takes each sequence once. */
export const isSameSequence = (a, b) => a.sequence === b.sequence && isSameAddress(a.gateway, b.gateway);

/**
 * Finds the payment that used the sequence of these quotes. Null if the list has none.
 * @param {any[]} quotes of one sequence
 * @returns {QuoteStatus | null}
 */
export function matchPayment(quotes, payments) {
  const match = payments.find((payment) => isSameSequence(payment, quotes[0]));
  if (!match) return null;
  const isOurs = quotes.some(({ amount, payer }) => match.amount === amount && isSameAddress(match.payer, payer));
  return isOurs ? { state: "paid", hash: getTxHash(match) } : { state: "superseded", hash: "" };
}

/** Reads the time of the newest block that can no longer be replaced. Null if the wallet's node does not tell. */
async function readFinalizedTime(provider) {
  if (!provider) return null;
  const block = await tryRead(provider, "eth_getBlockByNumber", ["finalized", false]);
  const time = Number(block?.timestamp ?? Number.NaN);
  return Number.isFinite(time) ? time : null;
}

/**
 * @param {any[]} quotes of one sequence
 * @param {import("./wallets.js").Provider} [provider]
 * @returns {Promise<QuoteStatus>}
 */
export async function readQuoteStatus(quotes, provider) {
  const deadline = Math.max(...quotes.map((quote) => quote.deadline));
  const isOver = getServerTime() > deadline;
  // First how far the chain is final, then the payments up to there.
  const finalized = isOver ? await readFinalizedTime(provider) : null;
  const { payments } = await fetchAccount(quotes[0].wallet);
  const decided = matchPayment(quotes, payments);
  if (decided) return decided;
  if (!isOver) return { state: "open", hash: "" };
  return { state: finalized !== null && finalized > deadline + NODE_LAG_S ? "void" : "undecided", hash: "" };
}
