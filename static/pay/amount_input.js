/** Reads typed amounts as the visitor's locale writes them. Pure. */

const MAX_CENTS = 99_999_999_999n;

/** @typedef {"unreadable" | "ambiguous"} AmountFault */

/** Reads how a locale writes numbers. Spaces of all kinds are one. */
function readLocale(locale) {
  const format = new Intl.NumberFormat(locale, { useGrouping: "always" });
  const parts = new Intl.NumberFormat(locale, { minimumFractionDigits: 1 }).formatToParts(0.5);
  const digits = [...new Intl.NumberFormat(locale, { useGrouping: false }).format(9876543210n)].reverse();
  return { format, digits, decimal: normalize(parts.find(({ type }) => type === "decimal")?.value ?? ".", []) };
}

function normalize(text, digits) {
  const plain = text.replace(/\s/g, " ").replaceAll("\u2019", "'").replaceAll("\u066b", ".").replaceAll("\u066c", ",");
  return [...plain].map((sign) => (digits.includes(sign) ? digits.indexOf(sign) : sign)).join("");
}

/** Splits a number into its whole and its decimal digits. */
function splitNumber(text, { format, digits, decimal }) {
  const separators = text.match(/\D/g) ?? [];
  if (!/^\d(?:[\d.,' ]*\d)?$/.test(text)) return "unreadable";
  if (separators.length === 0) return [text, ""];
  // 1,000 is a thousand to some and one to others.
  if (separators.length === 1 && /\D\d{3}$/.test(text)) return "ambiguous";
  if (separators.length === 1) return /[.,]/.test(text) ? text.split(/[.,]/) : "unreadable";
  const [whole, part = "", ...rest] = text.split(decimal);
  const plain = whole.replace(/\D/g, "");
  const isLocal = normalize(format.format(BigInt(plain || 0)), digits) === whole && !rest.length && !/\D/.test(part);
  return isLocal ? [plain, part] : "unreadable";
}

/**
 * Parses a typed number: 50, 50.5, 50,50, and 1,250.00 or 1.250,00 as the locale has it.
 * @returns {bigint | AmountFault} in units of 10^-places
 */
function parseDecimal(text, places, locale) {
  const rules = readLocale(locale);
  const parts = splitNumber(normalize(text.trim(), rules.digits), rules);
  if (typeof parts === "string") return parts;
  const [whole, part] = parts;
  if (whole.length > 12 || part.length > places) return "unreadable";
  return BigInt(whole + part.padEnd(places, "0"));
}

/**
 * @returns {bigint | AmountFault} cents
 */
export function parseDollars(text, locale) {
  const cents = parseDecimal(text.trim().replace(/^\$|\$$/, ""), 2, locale);
  return typeof cents === "bigint" && cents > MAX_CENTS ? "unreadable" : cents;
}

/**
 * @returns {bigint | AmountFault} base units
 */
export function parseTokens(text, token, locale) {
  return parseDecimal(text.replace(token.symbol, ""), token.decimals, locale);
}
