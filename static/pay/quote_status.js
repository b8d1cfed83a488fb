/**
 * Whether a quote was paid, and whether it still can be. Only the service tells: a payment in a list may be a plain one of
 * the same amount, or be paid with the quote by another account.
 */

import { fetchQuoteStatus } from "./api.js";

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
