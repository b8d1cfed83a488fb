/** The account's recent payments: claimed while they are unfinished, so that their states move by themselves. */

import { explorerLink, element } from "../shared/dom.js";
import { follow, hashOf, receiptUrl } from "./payment_polling.js";
import { dateText, dollars, exactTokens, shortHex, tokens } from "./money.js";
import { describe, isFinal } from "./states.js";
import { stateNames, words } from "./strings.js";

const SHOWN = 20;

/** The list with fresh facts in it; payments of this wallet that it lacked come first. */
export function merged(payments, fresh, wallet) {
  const facts = new Map(fresh.map((one) => [one.payment, one]));
  const known = payments.map((one) => facts.get(one.payment) ?? one);
  const names = new Set(payments.map((one) => one.payment));
  const ours = (one) => one.wallet.toLowerCase() === wallet.toLowerCase();
  const added = fresh.filter((one) => !names.has(one.payment) && ours(one));
  return [...added, ...known].slice(0, SHOWN);
}

/** What a payment is worth; a credit whose amount is not known here is a dash, and never nothing. */
export function worth(payment) {
  if (payment.cents !== null) return dollars(payment.cents);
  return payment.state === "credited" ? words.priceUnknown : words.priceToCome;
}

function paymentRow(payment, { chain, token }) {
  const { title, text } = describe({ state: payment.state, payments: [payment] }, 0, chain.name);
  const held = payment.state === "held" ? element("p", { class: "why" }, text) : null;
  const time = element("time", { datetime: new Date(payment.time * 1000).toISOString() }, dateText(payment.time));
  const hash = hashOf(payment);
  return element(
    "li",
    { class: "payment", "data-payment": payment.payment },
    element("span", { class: "worth" }, worth(payment)),
    element("span", { class: `badge ${payment.state}`, title }, stateNames[payment.state]),
    element(
      "span",
      { class: "fine" },
      element("span", { title: exactTokens(payment.amount, token) }, tokens(payment.amount, token)),
      " · ",
      time,
    ),
    element(
      "span",
      { class: "fine" },
      explorerLink(chain.explorer, "tx", hash, shortHex(hash)),
      " · ",
      element("a", { href: receiptUrl(payment) }, words.receipt),
    ),
    held,
  );
}

export function showPayments(list, payments, config) {
  const rows = payments.map((payment) => paymentRow(payment, config));
  list.replaceChildren(...(rows.length ? rows : [element("li", { class: "fine" }, words.noPayments)]));
}

/** Follows what is unfinished, each EVM transaction once. */
export function claimUnfinished(onPayments) {
  const followed = new Set();
  const signal = new AbortController().signal;
  return (payments, tracked) => {
    for (const payment of payments) {
      const hash = hashOf(payment);
      if (isFinal(payment.state) || followed.has(hash) || hash === tracked) continue;
      followed.add(hash);
      follow(hash, { signal, onFault: () => {}, onAnswer: (answer) => onPayments(answer.payments) });
    }
  };
}
