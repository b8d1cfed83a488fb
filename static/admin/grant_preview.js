/** What a rate comes to while it is typed: a payment's dollars, or how far it is from the market's. */

import { setText } from "../shared/dom.js";
import { inDollars } from "./api.js";

const SCALE = 10n ** 18n;
const BPS = 10_000n;

/** A decimal rate in 10^-18 dollars per token; null for what is none. */
function scaled(text) {
  const found = /^([0-9]{1,7})(?:\.([0-9]{1,18}))?$/.exec(text.trim());
  return found && BigInt(found[1]) * SCALE + BigInt((found[2] ?? "").padEnd(18, "0"));
}

const centsAt = (rate, { amount, discount }) => (BigInt(amount) * rate * 100n * BPS) / (SCALE * SCALE * (BPS - BigInt(discount)));

function ofPayment(rate, { amount, discount }) {
  return `This credits ${inDollars(centsAt(rate, { amount, discount }))}.`;
}

function ofMarket(rate, { market }) {
  const change = (rate * 100n) / BigInt(market) - 100n;
  if (change === 0n) return "That is about the market's rate.";
  return change < 0n ? `That is ${-change} % below the market's last rate.` : `That is ${change} % above the market's last rate.`;
}

/** Why an order has to be confirmed by another admin; empty where one decides alone. */
function secondAdmin(cents, rate, { used, alone, market }) {
  const end = "It waits until another admin confirms it here.";
  if (rate && market && rate * 5n > BigInt(market) * 6n) return `The rate is more than 20 % above the market's. ${end}`;
  if (cents <= 0n || (cents <= BigInt(alone) && cents + BigInt(used) <= BigInt(alone))) return "";
  return `This is above what you may decide alone: ${inDollars(alone)} an order and in 24 hours, of which you have used ${inDollars(used)}. ${end}`;
}

function warn(form, rate, box) {
  const told = form.querySelector(".second");
  if (!told) return;
  const cents = rate ? centsAt(rate, box.dataset) : BigInt(form.dataset.worth);
  setText(told, secondAdmin(cents, rate, form.dataset));
}

export function preview(event) {
  const box = event.target.name === "rate" ? event.target.form?.querySelector(".preview") : null;
  if (!box) return;
  const rate = scaled(event.target.value);
  const told = rate && (box.dataset.amount ? ofPayment(rate, box.dataset) : box.dataset.market && ofMarket(rate, box.dataset));
  setText(box, told || "");
  warn(event.target.form, rate, box);
}
