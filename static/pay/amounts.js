/** The two amount fields: dollars first, tokens computed, and either may be typed into. */

import { byId } from "../shared/dom.js";
import { centsOf, decimalText, parseDollars, parseTokens, typedTokens } from "./money.js";

export const isPayable = (cents, account) =>
  cents !== null && cents >= account.minimum_cents && cents <= account.maximum_cents;

/**
 * Quotes only what is within the limits.
 * @returns {() => void} reads the dollars and quotes them
 */
export function listenForAmounts(store, quotes, { token, offer }) {
  const [usd, units] = [byId("usd"), byId("tokens")];
  const price = () => store.get().quote ?? store.get().lastQuote ?? offer;

  function take(cents) {
    const payable = isPayable(cents, store.get().account);
    store.set({ cents, quoteFault: null, notice: null, ...(payable ? { quoting: true } : { quote: null, quoting: false }) });
    return payable;
  }

  function fill(text) {
    usd.value = text;
    if (take(parseDollars(text))) void quotes.renew();
  }

  usd.addEventListener("input", () => (take(parseDollars(usd.value)) ? quotes.renewSoon() : quotes.cancel()));
  units.addEventListener("input", () => {
    const wished = parseTokens(units.value, token);
    const cents = wished === null || !price() ? null : centsOf(wished, price());
    if (cents !== null) usd.value = decimalText(cents, 2);
    if (take(cents)) quotes.renewSoon();
    else quotes.cancel();
  });
  for (const preset of document.querySelectorAll("button.preset")) {
    preset.addEventListener("click", () => fill(preset.value));
  }
  byId("pay-less").addEventListener("click", () => {
    fill(decimalText(byId("pay-less").value, 2));
    byId("primary").focus();
  });
  store.subscribe(({ quote, lastQuote }) => {
    if (quote && quote !== lastQuote) store.set({ lastQuote: quote });
    // What is being typed is left alone; the exact amount stands below it.
    if (quote && document.activeElement !== units) units.value = typedTokens(quote.amount, token);
  });
  return () => fill(usd.value);
}
