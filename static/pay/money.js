/** Amounts as text. Cents and base units are integers all the way; nothing here is a float. */

/** Writes an integer of base units as a plain decimal, without losing a digit. */
export function decimalText(units, decimals) {
  const digits = BigInt(units).toString().padStart(decimals + 1, "0");
  if (decimals === 0) return digits;
  return `${digits.slice(0, -decimals)}.${digits.slice(-decimals)}`;
}

/** Intl formats decimal strings exactly, so a long token amount is never rounded on its way there. */
function formatted(text, options) {
  return new Intl.NumberFormat(undefined, options).format(text);
}

export function dollars(cents) {
  return formatted(decimalText(cents, 2), { style: "currency", currency: "USD" });
}

const placesOf = (text) => (text.startsWith("0.") ? 6 : 2);

/** A token amount for reading: two places from one token up, six below. */
export function tokens(units, token) {
  const text = decimalText(units, token.decimals);
  return `${formatted(text, { maximumFractionDigits: placesOf(text) })} ${token.symbol}`;
}

/** A token amount with every digit it has. */
export function exactTokens(units, token) {
  const text = decimalText(units, token.decimals).replace(/\.?0+$/, "");
  return `${formatted(text, { maximumFractionDigits: token.decimals })} ${token.symbol}`;
}

/** A token amount as people type it into a field. */
export function typedTokens(units, token) {
  const text = decimalText(units, token.decimals);
  return formatted(text, { maximumFractionDigits: placesOf(text), useGrouping: false, numberingSystem: "latn" });
}

/** An amount of the chain's own coin, two digits of it. */
export function coins(units, currency) {
  return `${formatted(decimalText(units, currency.decimals), { maximumSignificantDigits: 2 })} ${currency.symbol}`;
}

export function rateText(rate) {
  const options = { style: "currency", currency: "USD", minimumFractionDigits: 2, maximumFractionDigits: 6 };
  return formatted(rate, options);
}

export function percent(basisPoints) {
  return formatted(decimalText(basisPoints, 4), { style: "percent", maximumFractionDigits: 2 });
}

/**
 * Reads a number as people type it: 50, 50.5, 50,50, $1,250.00. Anything else is null.
 * @returns {bigint | null} in units of 10^-places
 */
function parseDecimal(text, places) {
  const bare = text.replace(/[\s$]/g, "");
  const plain = /^\d{1,3}(,\d{3})+(\.\d+)?$/.test(bare) ? bare.replaceAll(",", "") : bare.replace(",", ".");
  const parts = /^(\d{1,12})(?:\.(\d+))?$/.exec(plain);
  if (!parts || (parts[2] ?? "").length > places) return null;
  return BigInt(parts[1] + (parts[2] ?? "").padEnd(places, "0"));
}

/**
 * @returns {number | null} cents
 */
export function parseDollars(text) {
  const cents = parseDecimal(text, 2);
  return cents === null || cents > 99_999_999_999n ? null : Number(cents);
}

/**
 * @returns {bigint | null} base units
 */
export function parseTokens(text, token) {
  return parseDecimal(text.replace(token.symbol, ""), token.decimals);
}

/** The whole cents that so many tokens buy at a price, rounded down. */
export function centsOf(units, price) {
  return Number((units * BigInt(price.cents)) / BigInt(price.amount));
}

export function shortHex(hex) {
  return `${hex.slice(0, 6)}…${hex.slice(-4)}`;
}

export function clockText(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

/** How long ago, in the visitor's own words for it. */
export function agoText(seconds) {
  const words = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });
  const steps = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
  const age = Math.max(0, Math.floor(seconds));
  const [unit, size] = steps.find(([, length]) => age >= length) ?? ["second", 1];
  return words.format(-Math.floor(age / size), unit);
}

export function dateText(unix) {
  return new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" }).format(unix * 1000);
}
