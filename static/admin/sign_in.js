/** Signs in with a wallet: the wallet signs a text that the service made. */

import { createElement, requireElement, setText } from "../shared/dom.js";
import { post } from "./api.js";

const DISCOVERY_MS = 200;
const REJECTED_CODE = 4001;
const BUSY_CODE = -32002;

const announcedWallets = new Map();

addEventListener("eip6963:announceProvider", (event) => {
  const { info, provider } = event.detail ?? {};
  if (info?.uuid && provider) announcedWallets.set(info.uuid, { name: String(info.name ?? "Wallet"), provider });
});

function showMessage(sentence) {
  setText(requireElement("wallet-result"), sentence);
}

function encodeHex(text) {
  return `0x${[...new TextEncoder().encode(text)].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

function describeFault(fault) {
  if (fault?.code === REJECTED_CODE) return "You closed the request in your wallet. You are not signed in. Press the button to try again.";
  if (fault?.code === BUSY_CODE) return "Your wallet already has an open request. Answer it, then press the button.";
  return fault?.message ? `${fault.message}` : "Your wallet did not answer. You are not signed in.";
}

async function signIn(provider) {
  showMessage("Confirm in your wallet…");
  try {
    const [address] = await provider.request({ method: "eth_requestAccounts" });
    const { message } = await post("/login/wallet/message", { address, next: requireElement("wallet").dataset.next });
    const signature = await provider.request({ method: "personal_sign", params: [encodeHex(message), address] });
    const { next } = await post("/login/wallet", { signature });
    showMessage("You are signed in.");
    location.assign(next);
  } catch (fault) {
    showMessage(describeFault(fault));
  }
}

function listWallets() {
  if (announcedWallets.size) return [...announcedWallets.values()];
  return window.ethereum ? [{ name: "Wallet", provider: window.ethereum }] : [];
}

async function chooseWallet() {
  dispatchEvent(new Event("eip6963:requestProvider"));
  await new Promise((resolve) => setTimeout(resolve, DISCOVERY_MS));
  const wallets = listWallets();
  if (!wallets.length) showMessage("No wallet found in this browser. Install one, or open this page in your wallet's browser.");
  if (wallets.length === 1) await signIn(wallets[0].provider);
  if (wallets.length < 2) return;
  showMessage("Choose a wallet.");
  const buttons = wallets.map(({ name, provider }) => {
    const button = createElement("button", { type: "button" }, name);
    button.addEventListener("click", () => signIn(provider));
    return button;
  });
  requireElement("wallet-list").replaceChildren(...buttons);
  buttons[0].focus();
}

document.getElementById("wallet-button")?.addEventListener("click", chooseWallet);
dispatchEvent(new Event("eip6963:requestProvider"));
