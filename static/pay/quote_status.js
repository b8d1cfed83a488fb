/** Whether a quote was paid, and whether it still can be. The one place that knows how to find out. */

import { fetchQuoteStatus } from "./api.js";
import { getTxHash } from "./payment_polling.js";

const QUOTE_FIELDS = ["gateway", "wallet", "sequence", "amount", "cents", "deadline", "signature"];

/** Of several quotes, the first of these states counts: all must be void before the payer may pay again. */
const STATES_BY_WEIGHT = ["paid", "superseded", "open", "undecided"];

/**
 * `open`: can still be paid · `undecided`: its deadline is over, and a payment may still show up · `void`: never will be
 * paid · `paid`: by the payment with `hash` · `superseded`: another payment has its sequence.
 * @typedef {{state: "open" | "undecided" | "void" | "paid" | "superseded", hash: string}} QuoteStatus
 */

const isSameAddress = (a, b) => a?.toLowerCase() === b?.toLowerCase();

/** Whether at most one of two quotes can be paid: the contract takes each sequence once. */
export const isSameSequence = (a, b) => a.sequence === b.sequence && isSameAddress(a.gateway, b.gateway);

/**
 * Finds the payment that used the sequence of these quotes. Null if the list has none, or another wallet's: the list is
 * that of the wallet's present customer, who may not be the quotes'.
 * @param {any[]} quotes of one sequence
 * @returns {QuoteStatus | null}
 */
export function matchPayment(quotes, payments) {
  const match = payments.find((payment) => isSameSequence(payment, quotes[0]) && isSameAddress(payment.wallet, quotes[0].wallet));
  if (!match) return null;
  const isOurs = quotes.some(({ amount, payer }) => match.amount === amount && isSameAddress(match.payer, payer));
  return isOurs ? { state: "paid", hash: getTxHash(match) } : { state: "superseded", hash: "" };
}

/**
 * Asks the service, which asks the chain.
 * @param {any[]} quotes of one sequence
 * @returns {Promise<QuoteStatus>}
 */
export async function readQuoteStatus(quotes) {
  const unique = [...new Map(quotes.map((quote) => [quote.signature, quote])).values()];
  const requests = unique.map((quote) => Object.fromEntries(QUOTE_FIELDS.map((name) => [name, quote[name]])));
  const statuses = await Promise.all(requests.map(fetchQuoteStatus));
  const state = STATES_BY_WEIGHT.find((candidate) => statuses.some((status) => status.state === candidate)) ?? "void";
  return { state, hash: statuses.find(({ payment }) => payment)?.payment.tx_hash ?? "" };
}
