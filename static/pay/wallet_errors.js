/** What wallets' errors mean. Pure: shapes and codes differ by wallet, the meanings do not. */

/** Fields in which wallets and their libraries nest the error behind a generic one. */
const CAUSE_FIELDS = ["data", "originalError", "cause", "error", "info"];
const MAX_LAYERS = 16;
const MAX_MESSAGE_LENGTH = 200;

/** Methods after which the wallet may have sent something although it answered with an error. */
const SENDING_METHODS = new Set(["eth_sendTransaction", "wallet_sendCalls"]);

/** Words of nodes: what one of them rejects or denies is no decision of the payer's. */
const NODE_WORDS = /\b(?:node|rpc|sequencer|nonce|network|server|rate|limit)|pool|underpriced|known|revert|\bgas|\bfee/i;

const USER_REJECTED =
  /user\W+(?:has\W+|have\W+|was\W+)?(?:reject|den(?:y|ied)|declin|cancel|disapprov|abort|clos|refus|did not (?:approve|confirm))|(?:reject|deni|declin|cancel|abort)\w*\W+(?:by|from)\W+(?:the\W+)?user/i;
const NO_TOKENS = /^0xe450d38c|ERC20InsufficientBalance|transfer amount exceeds balance|insufficient token/i;
const NO_GAS = /insufficient (?:funds|eth\b|gas funds|balance for (?:gas|fee|transfer|transaction))|gas required exceeds allowance|exceeds the balance of the account/i;
const OTHER_CHAIN = /chain\s?id\W.*(?:not|n't) match|chain mismatch|(?:wrong|incorrect|mismatched) (?:chain|network)/i;
const UNKNOWN_CHAIN = /(?:unrecogni[sz]ed|unknown|unsupported) chain|(?:chain|network)\b.*(?:not (?:been )?added|not configured)/i;

/**
 * The first row that fits any layer of the error is its meaning. Codes come first: texts are hints.
 *
 * 4001, 4100, 4200, 4900, 4901: EIP-1193 · 4902: EIP-3326 · 57..: EIP-5792 · -32601, -32002: EIP-1474 ·
 * 5000 to 5003: WalletConnect · names: ethers.
 * `sent` says whether the wallet may have sent something: "no", or "maybe" for all that does not prove it.
 * @type {{meaning: string, codes?: (number | string)[], text?: RegExp, unless?: RegExp, sent: "no" | "maybe"}[]}
 */
const MEANINGS = [
  { meaning: "no_batch", codes: [5700, 5710, 5740, 5750, 5760], sent: "no" },
  { meaning: "rejected", codes: [4001, 5000, 5001, 5002, 5003, "ACTION_REJECTED"], sent: "no" },
  // Nodes use this code too, for a time limit of their own.
  { meaning: "busy", codes: [-32002], sent: "maybe" },
  { meaning: "locked", codes: [4100], sent: "no" },
  { meaning: "unknown_chain", codes: [4902], sent: "no" },
  { meaning: "unsupported", codes: [4200, -32601], sent: "no" },
  { meaning: "rejected", text: USER_REJECTED, sent: "no" },
  { meaning: "no_tokens", text: NO_TOKENS, sent: "no" },
  { meaning: "no_gas", codes: ["INSUFFICIENT_FUNDS"], text: NO_GAS, sent: "no" },
  // A relay that breaks off may have carried the payer's consent before.
  { meaning: "disconnected", codes: [4900, 4901], sent: "maybe" },
  { meaning: "other_chain", text: OTHER_CHAIN, sent: "maybe" },
  { meaning: "unknown_chain", text: UNKNOWN_CHAIN, sent: "maybe" },
  { meaning: "busy", text: /already (?:pending|processing)|request (?:is )?pending/i, sent: "maybe" },
  { meaning: "locked", text: /\b(?:wallet|keyring|account) (?:is )?locked|unauthorized|not been authorized/i, sent: "maybe" },
  { meaning: "refused", text: /reject|denied|declin|cancell?ed/i, unless: NODE_WORDS, sent: "maybe" },
];

/** Lists an error and those it wraps, outermost first. Some wallets throw a text, or nothing. */
function unwrapError(error) {
  const layers = [error];
  for (const layer of layers) {
    if (layer === null || typeof layer !== "object") continue;
    for (const field of CAUSE_FIELDS) {
      const inner = layer[field];
      if (inner && layers.length < MAX_LAYERS && !layers.includes(inner)) layers.push(inner);
    }
  }
  return layers;
}

/** Reads an error's code as a number, or as ethers' name. */
function readCode(layer) {
  const code = layer?.code;
  return typeof code === "string" && /^-?\d+$/.test(code) ? Number(code) : code;
}

function readMessage(layer) {
  if (typeof layer === "string") return layer;
  const text = layer?.message ?? layer?.reason;
  return typeof text === "string" ? text : "";
}

function matchesMeaning({ codes = [], text, unless }, layer) {
  if (codes.includes(readCode(layer))) return true;
  const message = readMessage(layer);
  return Boolean(text?.test(message)) && !unless?.test(message);
}

/**
 * @param {unknown} error what the wallet threw
 * @param {string} method the request that it answers
 * @returns {{meaning: string, message: string, mayHaveSent: boolean}} `unclear` is the meaning of all other errors
 */
export function readWalletError(error, method) {
  const layers = unwrapError(error);
  const row = MEANINGS.find((candidate) => layers.some((layer) => matchesMeaning(candidate, layer)));
  const messages = layers.map(readMessage).filter(Boolean);
  const message = messages.find((text) => !/^internal (?:json-rpc )?error/i.test(text)) ?? messages[0] ?? "";
  return {
    meaning: row?.meaning ?? "unclear",
    message: message.slice(0, MAX_MESSAGE_LENGTH),
    mayHaveSent: SENDING_METHODS.has(method) && row?.sent !== "no",
  };
}

/** Reads a network's number as wallets write it: 0x2105, 8453, "8453" or eip155:8453. Null for anything else. */
export function parseChainId(answer) {
  const text = String(answer ?? "").replace(/^eip155:/i, "");
  return /^(?:0x[0-9a-f]+|\d+)$/i.test(text) ? `0x${BigInt(text).toString(16)}` : null;
}
