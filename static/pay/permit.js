/** Allowances by signature (EIP-2612). The payment's own EVM transaction carries them to the gateway. */

import { encodeWord, readNumber, requestWallet } from "./wallets.js";

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

const encodeUint = (value) => BigInt(value).toString(16).padStart(64, "0");

/** Encodes ABI data of one `bytes`. */
function encodeBytes(hex) {
  const digits = hex.slice(2);
  return encodeUint(digits.length / 2) + digits.padEnd(Math.ceil(digits.length / 64) * 64, "0");
}

/** Encodes the gateway's `multicall` of two calls. */
function encodeMulticall(first, second) {
  const [head, tail] = [encodeBytes(first), encodeBytes(second)];
  return MULTICALL + encodeUint(32) + encodeUint(2) + encodeUint(64) + encodeUint(64 + head.length / 2) + head + tail;
}

/**
 * Asks the payer to sign an allowance of exactly the quote's amount.
 * @returns {Promise<string | null>} the gateway's `permit` call; null if this wallet or account cannot sign one
 */
export async function signPermit(provider, { permit }, quote, payer) {
  const nonce = await readNumber(provider, "eth_call", [{ to: quote.token, data: NONCES + encodeWord(payer) }, "latest"]);
  if (nonce === null) return null;
  const value = quote.amount;
  const typedData = {
    types: PERMIT_TYPES,
    primaryType: "Permit",
    domain: { ...permit, chainId: quote.chain_id, verifyingContract: quote.token },
    message: { owner: payer, spender: quote.gateway, value, nonce: nonce.toString(), deadline: String(quote.deadline) },
  };
  const signature = await requestWallet(provider, "eth_signTypedData_v4", [payer, JSON.stringify(typedData)]);
  // The token cannot verify a smart account's signature, which has another form.
  if (!/^0x[0-9a-f]{130}$/i.test(signature)) return null;
  const v = Number.parseInt(signature.slice(130), 16);
  return PERMIT_CALL + encodeUint(value) + encodeUint(quote.deadline) + encodeUint(v < 27 ? v + 27 : v) + signature.slice(2, 130);
}

/** Puts a permit before the payment; both execute or neither does. */
export function attachPermit(permit, call) {
  return permit ? { ...call, data: encodeMulticall(permit, call.data) } : call;
}
