// Wallets for tests: each forwards its requests to Python and is announced by EIP-6963.
for (const { uuid, name, icon, legacy, twins } of scriptedWallets) {
  const listeners = new Map();
  const emit = (event, value) => (listeners.get(event) ?? []).forEach((listener) => listener(value));
  const provider = {
    async request({ method, params = [] }) {
      const answer = await window.scriptedWallet(uuid, method, params);
      if (answer.silent) return new Promise(() => {});
      for (const [event, value] of answer.events ?? []) emit(event, value);
      if ("error" in answer) throw answer.error;
      return answer.result;
    },
    on: (event, listener) => listeners.set(event, [...(listeners.get(event) ?? []), listener]),
    removeListener: (event, listener) =>
      listeners.set(event, (listeners.get(event) ?? []).filter((one) => one !== listener)),
  };
  if (legacy) {
    window.ethereum = provider;
    continue;
  }
  const rdns = `test.${uuid}`;
  const details = [{ info: { uuid, name, icon, rdns }, provider }];
  // Some wallets announce one provider under two names, or a second provider under the same rdns.
  if (twins) details.push({ info: { uuid: `${uuid}-b`, name, icon, rdns: "" }, provider });
  if (twins) details.push({ info: { uuid: `${uuid}-c`, name, icon, rdns }, provider: { ...provider } });
  const announce = () =>
    details.forEach((detail) =>
      window.dispatchEvent(new CustomEvent("eip6963:announceProvider", { detail: Object.freeze(detail) })),
    );
  window.addEventListener("eip6963:requestProvider", announce);
  announce();
}
