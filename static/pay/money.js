/** Formats and parses amounts. Cents and base units are integers, never floats. */

/** Formats base units as a plain decimal with every digit. */
export function formatUnits(units, decimals) {
  const digits = BigInt(units).toString().padStart(decimals + 1, "0");
  if (decimals === 0) return digits;
  return `${digits.slice(0, -decimals)}.${digits.slice(-decimals)}`;
}

/** Formats a decimal string. Intl does not convert it to a float first. */
function formatNumber(text, options) {
  return new Intl.NumberFormat(undefined, options).format(text);
}

export function formatDollars(cents) {
  return formatNumber(formatUnits(cents, 2), { style: "currency", currency: "USD" });
}

const choosePlaces = (text) => (text.startsWith("0.") ? 6 : 2);

/** Formats a token amount with two decimal places, or six below one token. */
export function formatTokens(units, token) {
  const text = formatUnits(units, token.decimals);
  return `${formatNumber(text, { maximumFractionDigits: choosePlaces(text) })} ${token.symbol}`;
}

/** Formats a token amount with every digit. */
export function formatExactTokens(units, token) {
  const text = formatUnits(units, token.decimals).replace(/\.?0+$/, "");
  return `${formatNumber(text, { maximumFractionDigits: token.decimals })} ${token.symbol}`;
}

const formatInput = (text, minimumFractionDigits, maximumFractionDigits) =>
  formatNumber(text, { minimumFractionDigits, maximumFractionDigits, useGrouping: false, numberingSystem: "latn" });

/** Formats dollars for an input field. */
export function formatDollarInput(cents) {
  return formatInput(formatUnits(cents, 2), Number(cents) % 100 ? 2 : 0, 2);
}

/** Formats a token amount for an input field, never with three decimals: those could be read as thousands. */
export function formatTokenInput(units, token) {
  const text = formatUnits(units, token.decimals);
  const places = choosePlaces(text);
  return formatInput(text, places > 2 ? 4 : 0, places);
}

/** Formats an amount of the chain's coin with two digits. */
export function formatCoins(units, currency) {
  return `${formatNumber(formatUnits(units, currency.decimals), { maximumSignificantDigits: 2 })} ${currency.symbol}`;
}

/**
 * Formats a network fee in dollars, rounded up, or in the coin while its price is unknown.
 * @param {bigint | null} coinPrice in 10^-8 dollars
 */
export function formatFee(units, coinPrice, currency) {
  if (!coinPrice) return formatCoins(units, currency);
  const centUnits = 10n ** BigInt(currency.decimals + 6);
  const cents = (units * coinPrice + centUnits - 1n) / centUnits;
  return formatDollars(cents);
}

export function formatRate(rate) {
  const options = { style: "currency", currency: "USD", minimumFractionDigits: 2, maximumFractionDigits: 6 };
  return formatNumber(rate, options);
}

export function formatPercent(basisPoints) {
  return formatNumber(formatUnits(basisPoints, 4), { style: "percent", maximumFractionDigits: 2 });
}

/** Converts base units to whole cents at a price, rounded down. */
export function convertToCents(units, price) {
  return Number((units * BigInt(price.cents)) / BigInt(price.amount));
}

export function shortenHex(hex) {
  return `${hex.slice(0, 6)}…${hex.slice(-4)}`;
}

export function formatCountdown(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

/** Formats an age in the visitor's language. */
export function formatAge(seconds) {
  const format = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });
  const steps = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
  const age = Math.max(0, Math.floor(seconds));
  const [unit, size] = steps.find(([, length]) => age >= length) ?? ["second", 1];
  return format.format(-Math.floor(age / size), unit);
}

export function formatDate(unix) {
  return new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" }).format(unix * 1000);
}

/** Formats a receipt's time to the second, with its zone. */
export function formatTime(iso) {
  return new Intl.DateTimeFormat(undefined, { dateStyle: "long", timeStyle: "long" }).format(Date.parse(iso));
}
