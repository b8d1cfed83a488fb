/** Calls the admin API. A failure is an AdminFault with a sentence for people. */

const ANSWER_LIMIT_MS = 60_000;

export class AdminFault extends Error {
  constructor(code, detail, reference) {
    super(detail);
    this.code = code;
    this.reference = reference;
  }

  /** Whether the request may have been carried out without a clear answer. */
  get isOutcomeUnknown() {
    return this.code === "unreachable" || this.code === "unclear" || this.code === "internal";
  }

  get isSignedOut() {
    return this.code === "signed_out" || this.code === "sign_in_again";
  }
}

export async function post(path, body) {
  let response;
  try {
    response = await fetch(path, {
      method: "POST",
      headers: { Accept: "application/json", "Content-Type": "application/json" },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(ANSWER_LIMIT_MS),
    });
  } catch {
    throw new AdminFault("unreachable", "No answer came. Check your connection.", "");
  }
  const answer = await response.json().catch(() => null);
  if (response.ok && answer) return answer;
  const code = String(answer?.type ?? "").split("/").pop() || "unreachable";
  throw new AdminFault(code, answer?.detail ?? "No clear answer came.", response.status >= 500 ? answer?.request_id : "");
}

/** Formats cents, a whole number or BigInt, as dollars: 123456 → $1,234.56. */
export function formatDollars(cents) {
  const digits = String(cents < 0 ? -cents : cents).padStart(3, "0");
  const whole = digits.slice(0, -2).replace(/\B(?=(\d{3})+$)/g, ",");
  return `${cents < 0 ? "-" : ""}$${whole}.${digits.slice(-2)}`;
}
