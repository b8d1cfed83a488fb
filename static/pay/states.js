/** Describes a payment's state to the payer: title, sentence, progress. Pure. */

import { formatDollars } from "./money.js";
import { confirmingCauses, heldCauses, paymentTexts, pendingCauses, unrelatedTexts } from "./strings.js";

/** States that no longer change by themselves. */
const FINAL = new Set(["credited", "reversed", "failed", "unrelated"]);

/** The sentence changes when the chain shows nothing for so long. */
const LONG_UNKNOWN_S = 60;

/** @typedef {{title: string, text: string, tone: "progress" | "good" | "warn" | "bad", share: number | null}} View */

export const isFinal = (state) => FINAL.has(state);

/** Whether asking again may bring another answer: the block of an unrelated transaction can still be replaced. */
export const mayChange = ({ state, retry_after: retryAfter }) => !isFinal(state) || (state === "unrelated" && retryAfter !== null);

/** Whether the payer is done, with the credit or without: only our staff or a price can change it now. */
export const isSettled = (answer) => answer?.state === "credited" || answer?.state === "held";

/** A payment this young may be the very one that somebody is about to make again. */
const RECENT_S = 600;

/** Whether money moved and the credit is still to come. */
export const isUnderWay = (state) => state === "confirming" || state === "pending" || state === "held";

/** Finds the payments that a further one may double, whoever made them. */
export const findDoubled = ({ payments, now }) =>
  payments.filter(({ state, time }) => isUnderWay(state) || (state === "credited" && now - time < RECENT_S));

/** A payment's states, least advanced first. */
const STATES = ["confirming", "pending", "held", "reversed", "credited"];

/** Leaves a wallet's own payments of a transaction that pays for several accounts; all of them if it has none. */
export function narrowAnswer(answer, wallet) {
  const payments = answer.payments.filter((payment) => payment.wallet.toLowerCase() === wallet?.toLowerCase());
  const state = STATES.find((candidate) => payments.some((payment) => payment.state === candidate));
  return state ? { ...answer, state, payments } : answer;
}

/** Sums the credits of one account. Null if the page does not know a price. */
function sumCredits({ payments }) {
  if (payments.some(({ cents, wallet }) => cents === null || wallet !== payments[0].wallet)) return null;
  return payments.reduce((sum, { cents }) => sum + cents, 0);
}

/** Finds the least advanced payment, which determines the answer's state. */
const findSlowest = (answer) => answer.payments.find(({ state }) => state === answer.state);

const VIEWS = {
  unknown: (answer, age, chain) => ({
    ...(age > LONG_UNKNOWN_S ? paymentTexts.unknownLong(chain) : paymentTexts.unknown(chain)),
    tone: age > LONG_UNKNOWN_S ? "warn" : "progress",
  }),
  unrelated: ({ cause }) => ({ ...(unrelatedTexts[cause] ?? unrelatedTexts.none), tone: "warn" }),
  confirming: (answer) => {
    const { confirmed = null, needed = null, cause = null } = findSlowest(answer) ?? {};
    if (confirmingCauses[cause]) {
      return { title: paymentTexts.confirmingUncounted.title, text: confirmingCauses[cause], tone: "progress" };
    }
    if (confirmed === null || !needed) return { ...paymentTexts.confirmingUncounted, tone: "progress" };
    const message = paymentTexts.confirming(String(Math.min(confirmed, needed)), String(needed));
    return { ...message, tone: "progress", share: Math.min(1, confirmed / needed) };
  },
  pending: (answer) => ({
    title: paymentTexts.pendingTitle,
    text: pendingCauses[findSlowest(answer)?.cause ?? "none"] ?? pendingCauses.none,
    tone: "progress",
  }),
  credited: (answer) => {
    const cents = sumCredits(answer);
    if (cents === null) return { ...paymentTexts.creditedUnpriced, tone: "good" };
    return { ...(cents ? paymentTexts.credited(formatDollars(cents)) : paymentTexts.creditedDust), tone: "good" };
  },
  held: (answer) => ({
    title: paymentTexts.heldTitle,
    text: heldCauses[findSlowest(answer)?.cause] ?? heldCauses.stripe_refused,
    tone: "warn",
  }),
  reversed: () => ({ ...paymentTexts.reversed, tone: "warn" }),
  failed: () => ({ ...paymentTexts.failed, tone: "bad" }),
};

/**
 * @param {any} answer of the payments API, or null before the first one
 * @param {number} age seconds since the page knows the transaction
 * @param {string} chain the chain's name
 */
export function describePayment(answer, age, chain) {
  const view = VIEWS[answer?.state] ?? VIEWS.unknown;
  return { share: null, ...view(answer, age, chain) };
}
