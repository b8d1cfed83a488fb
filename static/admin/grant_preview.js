/** Previews a typed rate: the dollars it credits, or its distance from the market's rate. */

import { setText } from "../shared/dom.js";
import { formatDollars } from "./api.js";

const RATE_SCALE = 10n ** 18n;
const TOKEN_SCALE = 10n ** 18n;
const BASIS_POINTS = 10_000n;

/** Parses a rate into 10^-18 dollars per token. Null if it is not a decimal. */
function parseRate(text) {
  const match = /^([0-9]{1,7})(?:\.([0-9]{1,18}))?$/.exec(text.trim());
  return match && BigInt(match[1]) * RATE_SCALE + BigInt((match[2] ?? "").padEnd(18, "0"));
}

function convertToCents(rate, { amount, discount }) {
  return (BigInt(amount) * rate * 100n * BASIS_POINTS) / (TOKEN_SCALE * RATE_SCALE * (BASIS_POINTS - BigInt(discount)));
}

function describeCredit(rate, dataset) {
  return `This credits ${formatDollars(convertToCents(rate, dataset))}.`;
}

function describeDistance(rate, { market }) {
  const change = (rate * 100n) / BigInt(market) - 100n;
  if (change === 0n) return "That is about the market's rate.";
  return change < 0n ? `That is ${-change} % below the market's last rate.` : `That is ${change} % above the market's last rate.`;
}

/** Explains why another admin must confirm an order. Empty if one admin decides alone. */
function describeSecondAdmin(cents, rate, { used, alone, market }) {
  const waits = "The order waits until another admin confirms it here.";
  if (rate && market && rate * 5n > BigInt(market) * 6n) return `The rate is more than 20 % above the market's. ${waits}`;
  if (cents <= 0n || (cents <= BigInt(alone) && cents + BigInt(used) <= BigInt(alone))) return "";
  return `This is above what you may decide alone: ${formatDollars(alone)} per order and per 24 hours. You have used ${formatDollars(used)}. ${waits}`;
}

function showSecondAdmin(form, rate, box) {
  const warning = form.querySelector(".second");
  if (!warning) return;
  const cents = rate ? convertToCents(rate, box.dataset) : BigInt(form.dataset.worth);
  setText(warning, describeSecondAdmin(cents, rate, form.dataset));
}

function describeRate(rate, dataset) {
  if (!rate) return "";
  if (dataset.amount) return describeCredit(rate, dataset);
  return dataset.market ? describeDistance(rate, dataset) : "";
}

export function showPreview(event) {
  const box = event.target.name === "rate" ? event.target.form?.querySelector(".preview") : null;
  if (!box) return;
  const rate = parseRate(event.target.value);
  setText(box, describeRate(rate, box.dataset));
  showSecondAdmin(event.target.form, rate, box);
}
