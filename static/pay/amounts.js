/** Binds the two amount fields: dollars and tokens. The visitor may type into either. */

import { requireElement } from "../shared/dom.js";
import { parseDollars, parseTokens } from "./amount_input.js";
import { convertToCents, formatDollarInput, formatTokenInput } from "./money.js";

export const isPayable = (cents, account) =>
  cents !== null && cents >= account.minimum_cents && cents <= account.maximum_cents;

/**
 * Requests quotes only for amounts within the limits.
 * @returns {() => void} takes the link's amount and requests a quote
 */
export function bindAmountFields(store, quotes, { token, offer, cents: linkedCents, usd_fault: linkFault }) {
  const [usd, units] = [requireElement("usd"), requireElement("tokens")];
  const getPrice = () => store.get().quote ?? store.get().lastQuote ?? offer;

  /**
   * @param {number | null} cents
   * @param {string} [amountFault] the fault's name, or its sentence
   */
  function applyCents(cents, amountFault = "") {
    const payable = isPayable(cents, store.get().account);
    store.set({ cents, amountFault, quoteFault: null, notice: null, ...(payable ? { quoting: true } : { quote: null, quoting: false }) });
    return payable;
  }

  function fillDollars(cents) {
    usd.value = formatDollarInput(cents);
    if (applyCents(cents)) void quotes.renew();
  }

  function applyTyped(cents, fault) {
    if (applyCents(cents, fault)) quotes.renewAfterTyping();
    else quotes.cancel();
  }

  usd.addEventListener("input", () => {
    const cents = parseDollars(usd.value);
    if (typeof cents === "bigint") applyTyped(Number(cents));
    else applyTyped(null, cents);
  });
  units.addEventListener("input", () => {
    const typedUnits = parseTokens(units.value, token);
    if (typeof typedUnits !== "bigint") return applyTyped(null, typedUnits);
    const cents = getPrice() ? convertToCents(typedUnits, getPrice()) : null;
    if (cents !== null) usd.value = formatDollarInput(cents);
    return applyTyped(cents, "unreadable");
  });
  for (const preset of document.querySelectorAll("button.preset")) {
    preset.addEventListener("click", () => fillDollars(Number(preset.value) * 100));
  }
  requireElement("pay-less").addEventListener("click", () => {
    fillDollars(Number(requireElement("pay-less").value));
    requireElement("primary").focus();
  });
  store.subscribe(({ quote, lastQuote }) => {
    if (quote && quote !== lastQuote) store.set({ lastQuote: quote });
    // Do not overwrite a field while it is typed into; the exact amount is shown below it.
    if (quote && document.activeElement !== units) units.value = formatTokenInput(quote.amount, token);
  });
  return () => (linkedCents === null ? applyCents(null, linkFault) : fillDollars(linkedCents));
}
