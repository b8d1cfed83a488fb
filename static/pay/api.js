/** Calls the service's public API and follows its clock. */

const ANSWER_LIMIT_MS = 20_000;

/** Milliseconds that the service's clock is ahead of ours, from the last answer's Date. */
let clockSkewMs = 0;

/** Returns Unix seconds by the service's clock. */
export function getServerTime() {
  return (Date.now() + clockSkewMs) / 1000;
}

/** A failed request. `code` is the problem's type, or `unreachable` without an answer. */
export class ApiFault extends Error {
  constructor(code, facts = {}) {
    super(code);
    this.code = code;
    this.detail = facts.detail ?? "";
    this.reference = facts.reference ?? "";
    this.retryAfter = facts.retryAfter ?? null;
    this.status = facts.status ?? 0;
  }

  /** Whether a retry can help. */
  get isTemporary() {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

function updateClockSkew(response) {
  const date = Date.parse(response.headers.get("Date") ?? "");
  if (!Number.isNaN(date)) clockSkewMs = date - Date.now();
}

async function readProblem(response) {
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
 * @param {object} [body] what to POST; omit it to GET
 */
async function requestService(path, body) {
  const options = { headers: { Accept: "application/json" }, signal: AbortSignal.timeout(ANSWER_LIMIT_MS) };
  if (body) {
    options.method = "POST";
    options.headers = { ...options.headers, "Content-Type": "application/json" };
    options.body = JSON.stringify(body);
  }
  const response = await fetch(path, options).catch(() => {
    throw new ApiFault("unreachable");
  });
  updateClockSkew(response);
  if (!response.ok) throw await readProblem(response);
  return response.json().catch(() => {
    throw new ApiFault("unreachable");
  });
}

export const fetchAccount = (wallet) => requestService(`/api/accounts/${wallet}`);

export const fetchQuote = (quoteRequest) => requestService("/api/quotes", quoteRequest);

export const fetchQuoteStatus = (quote) => requestService("/api/quotes/status", quote);

export const claimPayment = (hash) => requestService("/api/payments", { tx_hash: hash });
