/** Binds the two amount fields: dollars and tokens. The visitor may type into either. */

import { requireElement } from "../shared/dom.js";
import { convertToCents, formatTokenInput, formatUnits, parseDollars, parseTokens } from "./money.js";

export const isPayable = (cents, account) =>
  cents !== null && cents >= account.minimum_cents && cents <= account.maximum_cents;

/**
 * Requests quotes only for amounts within the limits.
 * @returns {() => void} reads the dollars and requests a quote
 */
export function bindAmountFields(store, quotes, { token, offer }) {
  const [usd, units] = [requireElement("usd"), requireElement("tokens")];
  const getPrice = () => store.get().quote ?? store.get().lastQuote ?? offer;

  function applyCents(cents) {
    const payable = isPayable(cents, store.get().account);
    store.set({ cents, quoteFault: null, notice: null, ...(payable ? { quoting: true } : { quote: null, quoting: false }) });
    return payable;
  }

  function fillDollars(text) {
    usd.value = text;
    if (applyCents(parseDollars(text))) void quotes.renew();
  }

  usd.addEventListener("input", () => (applyCents(parseDollars(usd.value)) ? quotes.renewAfterTyping() : quotes.cancel()));
  units.addEventListener("input", () => {
    const typedUnits = parseTokens(units.value, token);
    const cents = typedUnits === null || !getPrice() ? null : convertToCents(typedUnits, getPrice());
    if (cents !== null) usd.value = formatUnits(cents, 2);
    if (applyCents(cents)) quotes.renewAfterTyping();
    else quotes.cancel();
  });
  for (const preset of document.querySelectorAll("button.preset")) {
    preset.addEventListener("click", () => fillDollars(preset.value));
  }
  requireElement("pay-less").addEventListener("click", () => {
    fillDollars(formatUnits(requireElement("pay-less").value, 2));
    requireElement("primary").focus();
  });
  store.subscribe(({ quote, lastQuote }) => {
    if (quote && quote !== lastQuote) store.set({ lastQuote: quote });
    // Do not overwrite a field while it is typed into; the exact amount is shown below it.
    if (quote && document.activeElement !== units) units.value = formatTokenInput(quote.amount, token);
  });
  return () => fillDollars(usd.value);
}
