/** Signing in with a wallet: it is shown a text of the service's making, and signs it. */

import { byId, element, setText } from "../shared/dom.js";
import { send } from "./api.js";

const FOUND_MS = 200;
const REJECTED = 4001;
const BUSY = -32002;

const found = new Map();

addEventListener("eip6963:announceProvider", (event) => {
  const { info, provider } = event.detail ?? {};
  if (info?.uuid && provider) found.set(info.uuid, { name: String(info.name ?? "Wallet"), provider });
});

function told(sentence) {
  setText(byId("wallet-result"), sentence);
}

const hexOf = (text) => `0x${[...new TextEncoder().encode(text)].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;

function sentenceOf(fault) {
  if (fault?.code === REJECTED) return "You closed the request in your wallet. Nobody was signed in. Press again to try again.";
  if (fault?.code === BUSY) return "Your wallet already has an open request. Answer it there, then press again.";
  return fault?.message ? `${fault.message}` : "The wallet did not answer. Nobody was signed in.";
}

async function signInWith(provider) {
  told("Look at your wallet…");
  try {
    const [address] = await provider.request({ method: "eth_requestAccounts" });
    const { message } = await send("/login/wallet/message", { address, next: byId("wallet").dataset.next });
    const signature = await provider.request({ method: "personal_sign", params: [hexOf(message), address] });
    const { next } = await send("/login/wallet", { signature });
    told("Signed in.");
    location.assign(next);
  } catch (fault) {
    told(sentenceOf(fault));
  }
}

function choices() {
  if (found.size) return [...found.values()];
  return window.ethereum ? [{ name: "Wallet", provider: window.ethereum }] : [];
}

async function begin() {
  dispatchEvent(new Event("eip6963:requestProvider"));
  await new Promise((done) => setTimeout(done, FOUND_MS));
  const wallets = choices();
  if (!wallets.length) told("No wallet was found in this browser. Open this page in your wallet's browser, or install one.");
  if (wallets.length === 1) await signInWith(wallets[0].provider);
  if (wallets.length < 2) return;
  told("Choose the wallet.");
  const buttons = wallets.map(({ name, provider }) => {
    const made = element("button", { type: "button" }, name);
    made.addEventListener("click", () => signInWith(provider));
    return made;
  });
  byId("wallet-list").replaceChildren(...buttons);
  buttons[0].focus();
}

const button = document.getElementById("wallet-button");
if (button) button.addEventListener("click", begin);
dispatchEvent(new Event("eip6963:requestProvider"));
