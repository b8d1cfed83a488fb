/** The service's public API: typed answers, typed faults, and the service's clock. */

const ANSWER_LIMIT_MS = 20_000;

/** The service's clock minus ours, in milliseconds, from the last answer's Date. */
let skew = 0;

/** Unix seconds by the service's clock. */
export function serverNow() {
  return (Date.now() + skew) / 1000;
}

/** An answer that was not a success. `code` is the problem's type, or `unreachable` when none came. */
export class ApiFault extends Error {
  constructor(code, facts = {}) {
    super(code);
    this.code = code;
    this.detail = facts.detail ?? "";
    this.reference = facts.reference ?? "";
    this.retryAfter = facts.retryAfter ?? null;
    this.status = facts.status ?? 0;
  }

  /** Whether asking again later can help. */
  get passing() {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

function readClock(response) {
  const date = Date.parse(response.headers.get("Date") ?? "");
  if (!Number.isNaN(date)) skew = date - Date.now();
}

async function problemOf(response) {
  const problem = await response.json().catch(() => ({}));
  const seconds = Number.parseInt(response.headers.get("Retry-After") ?? "", 10);
  return new ApiFault(String(problem.type ?? "").split("/").pop() || "unexpected", {
    detail: problem.detail ?? problem.title,
    reference: problem.request_id ?? problem.instance ?? response.headers.get("X-Request-Id") ?? "",
    retryAfter: Number.isNaN(seconds) ? null : seconds,
    status: response.status,
  });
}

/**
 * @param {object} [body] what to POST; without it the call is a GET
 */
async function askService(path, body) {
  const options = { headers: { Accept: "application/json" }, signal: AbortSignal.timeout(ANSWER_LIMIT_MS) };
  if (body) {
    options.method = "POST";
    options.headers = { ...options.headers, "Content-Type": "application/json" };
    options.body = JSON.stringify(body);
  }
  const response = await fetch(path, options).catch(() => {
    throw new ApiFault("unreachable");
  });
  readClock(response);
  if (!response.ok) throw await problemOf(response);
  return response.json().catch(() => {
    throw new ApiFault("unreachable");
  });
}

export const fetchAccount = (wallet) => askService(`/api/accounts/${wallet}`);

export const fetchQuote = (wish) => askService("/api/quotes", wish);

export const claimPayment = (hash) => askService("/api/payments", { tx_hash: hash });
