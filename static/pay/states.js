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

/** Sums the credits. Null if the page does not know a price. */
function sumCredits({ payments }) {
  if (payments.some(({ cents }) => cents === null)) return null;
  return payments.reduce((sum, { cents }) => sum + cents, 0);
}

/** Finds the least advanced payment, which determines the answer's state. */
const findSlowest = (answer) => answer.payments.find(({ state }) => state === answer.state);

const VIEWS = {
  unknown: (answer, age, chain) => ({
    ...(age > LONG_UNKNOWN_S ? paymentTexts.unknownLong(chain) : paymentTexts.unknown(chain)),
    tone: age > LONG_UNKNOWN_S ? "warn" : "progress",
    share: null,
  }),
  unrelated: ({ cause }) => ({ ...(unrelatedTexts[cause] ?? unrelatedTexts.none), tone: "warn", share: null }),
  confirming: (answer) => {
    const { confirmed = null, needed = null, cause = null } = findSlowest(answer) ?? {};
    if (confirmingCauses[cause]) {
      return { title: paymentTexts.confirmingUncounted.title, text: confirmingCauses[cause], tone: "progress", share: null };
    }
    if (confirmed === null || !needed) return { ...paymentTexts.confirmingUncounted, tone: "progress", share: null };
    const message = paymentTexts.confirming(String(Math.min(confirmed, needed)), String(needed));
    return { ...message, tone: "progress", share: Math.min(1, confirmed / needed) };
  },
  pending: (answer) => ({
    title: paymentTexts.pendingTitle,
    text: pendingCauses[findSlowest(answer)?.cause ?? "none"] ?? pendingCauses.none,
    tone: "progress",
    share: null,
  }),
  credited: (answer) => {
    const cents = sumCredits(answer);
    if (cents === null) return { ...paymentTexts.creditedUnpriced, tone: "good", share: null };
    return { ...(cents ? paymentTexts.credited(formatDollars(cents)) : paymentTexts.creditedDust), tone: "good", share: null };
  },
  held: (answer) => ({
    title: paymentTexts.heldTitle,
    text: heldCauses[findSlowest(answer)?.cause] ?? heldCauses.stripe_refused,
    tone: "warn",
    share: null,
  }),
  reversed: () => ({ ...paymentTexts.reversed, tone: "warn", share: null }),
  failed: () => ({ ...paymentTexts.failed, tone: "bad", share: null }),
};

/**
 * @param {any} answer of the payments API, or null before the first one
 * @param {number} age seconds since the page knows the transaction
 * @param {string} chain the chain's name
 */
export function describePayment(answer, age, chain) {
  const view = VIEWS[answer?.state] ?? VIEWS.unknown;
  return view(answer, age, chain);
}
