/** Lists the account's recent payments and polls the unfinished ones. */

import { createElement } from "../shared/dom.js";
import { createExplorerLink } from "./explorer.js";
import { formatDate, formatDollars, formatExactTokens, formatTokens, shortenHex } from "./money.js";
import { buildReceiptUrl, getTxHash, pollPayment } from "./payment_polling.js";
import { describePayment, isFinal } from "./states.js";
import { phrases, stateNames } from "./strings.js";

const MAX_SHOWN = 20;

/** The node that lists an account may be this far behind the one that found a claimed payment. */
const LIST_LAG_S = 60;

/** Updates the list with fresh payments. New payments of this wallet come first. */
export function mergePayments(payments, fresh, wallet) {
  const freshById = new Map(fresh.map((payment) => [payment.payment, payment]));
  const updated = payments.map((payment) => freshById.get(payment.payment) ?? payment);
  const listed = new Set(payments.map((payment) => payment.payment));
  const isOurs = (payment) => payment.wallet.toLowerCase() === wallet.toLowerCase();
  const added = fresh.filter((payment) => !listed.has(payment.payment) && isOurs(payment));
  return [...added, ...updated].slice(0, MAX_SHOWN);
}

/** What a claim told; another process may know only that the payment is on the chain. */
const DECIDED = new Set(["credited", "held", "reversed"]);

/** Takes the account's list. What was claimed a moment ago may be missing in it, and what is decided stays so. */
export function takeList(payments, fresh, now) {
  const shown = new Map(payments.map((payment) => [payment.payment, payment]));
  const listed = new Set(fresh.map((payment) => payment.payment));
  const claimed = payments.filter((payment) => !listed.has(payment.payment) && now - payment.time < LIST_LAG_S);
  const taken = fresh.map((payment) => {
    const before = shown.get(payment.payment);
    return DECIDED.has(before?.state) && !DECIDED.has(payment.state) ? before : payment;
  });
  return [...claimed, ...taken].slice(0, MAX_SHOWN);
}

/** Formats a payment's dollars. A credit of unknown amount is a dash, never $0. */
export function formatWorth(payment) {
  if (payment.cents !== null) return formatDollars(payment.cents);
  return payment.state === "credited" ? phrases.priceUnknown : phrases.priceToCome;
}

function createPaymentRow(payment, { chain, token }) {
  const { title, text } = describePayment({ state: payment.state, payments: [payment] }, 0, chain.name);
  const held = payment.state === "held" ? createElement("p", { class: "why" }, text) : null;
  const datetime = new Date(payment.time * 1000).toISOString();
  const time = createElement("time", { datetime, title: datetime }, formatDate(payment.time));
  const hash = getTxHash(payment);
  return createElement(
    "li",
    { class: "payment", "data-payment": payment.payment, "data-reference": hash },
    createElement("span", { class: "worth" }, formatWorth(payment)),
    createElement("span", { class: `badge ${payment.state}`, title }, stateNames[payment.state]),
    createElement(
      "span",
      { class: "fine" },
      createElement("span", { title: formatExactTokens(payment.amount, token) }, formatTokens(payment.amount, token)),
      " · ",
      time,
    ),
    createElement(
      "span",
      { class: "fine" },
      createExplorerLink(chain.explorer, "tx", hash, shortenHex(hash)),
      " · ",
      createElement("a", { href: buildReceiptUrl(payment) }, phrases.receipt),
    ),
    held,
  );
}

export function showPayments(list, payments, config) {
  const rows = payments.map((payment) => createPaymentRow(payment, config));
  list.replaceChildren(...(rows.length ? rows : [createElement("li", { class: "fine" }, phrases.noPayments)]));
}

/** Polls unfinished payments, each EVM transaction once. */
export function createUnfinishedPoller(onPayments) {
  const polled = new Set();
  const { signal } = new AbortController();
  return (payments, trackedHash) => {
    for (const payment of payments) {
      const hash = getTxHash(payment);
      if (isFinal(payment.state) || polled.has(hash) || hash === trackedHash) continue;
      polled.add(hash);
      pollPayment(hash, { signal, onFault: () => {}, onAnswer: (answer) => onPayments(answer.payments) });
    }
  };
}
