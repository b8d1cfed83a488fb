/** An allowance by signature (EIP-2612), carried to the gateway by the payment's own EVM transaction. */

import { ask, readNumber, word } from "./wallets.js";

const NONCES = "0x7ecebe00";
const MULTICALL = "0xac9650d8";
const PERMIT_CALL = "0x8024cfd4";

const PERMIT_TYPES = {
  EIP712Domain: [
    { name: "name", type: "string" },
    { name: "version", type: "string" },
    { name: "chainId", type: "uint256" },
    { name: "verifyingContract", type: "address" },
  ],
  Permit: [
    { name: "owner", type: "address" },
    { name: "spender", type: "address" },
    { name: "value", type: "uint256" },
    { name: "nonce", type: "uint256" },
    { name: "deadline", type: "uint256" },
  ],
};

const uint = (value) => BigInt(value).toString(16).padStart(64, "0");

/** ABI data of one `bytes`. */
function bytesData(hex) {
  const digits = hex.slice(2);
  return uint(digits.length / 2) + digits.padEnd(Math.ceil(digits.length / 64) * 64, "0");
}

/** The gateway's `multicall` of two calls. */
function multicall(first, second) {
  const [one, other] = [bytesData(first), bytesData(second)];
  return MULTICALL + uint(32) + uint(2) + uint(64) + uint(64 + one.length / 2) + one + other;
}

/**
 * Asks the payer to sign for exactly the quote's amount.
 * @returns {Promise<string | null>} the gateway's `permit` call; null where this wallet or account cannot do it
 */
export async function signPermit(provider, { permit }, quote, payer) {
  const nonce = await readNumber(provider, "eth_call", [{ to: quote.token, data: NONCES + word(payer) }, "latest"]);
  if (nonce === null) return null;
  const value = quote.amount;
  const typed = {
    types: PERMIT_TYPES,
    primaryType: "Permit",
    domain: { ...permit, chainId: quote.chain_id, verifyingContract: quote.token },
    message: { owner: payer, spender: quote.gateway, value, nonce: nonce.toString(), deadline: String(quote.deadline) },
  };
  const signature = await ask(provider, "eth_signTypedData_v4", [payer, JSON.stringify(typed)]);
  // A smart account's signature has another form, which the token cannot check.
  if (!/^0x[0-9a-f]{130}$/i.test(signature)) return null;
  const v = Number.parseInt(signature.slice(130), 16);
  return PERMIT_CALL + uint(value) + uint(quote.deadline) + uint(v < 27 ? v + 27 : v) + signature.slice(2, 130);
}

/** The payment with a permit before it, all or nothing. */
export function withPermit(permit, call) {
  return permit ? { ...call, data: multicall(permit, call.data) } : call;
}
