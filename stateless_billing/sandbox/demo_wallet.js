// A wallet for the demo: asks before each action; the local chain signs for its test account.
(() => {
  const ICON =
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 8 8'%3E%3Crect width='8' height='8' rx='2' fill='%232f7d4f'/%3E%3Cpath d='M2 3h4v3H2z' fill='%23fff'/%3E%3C/svg%3E";
  const QUESTIONS = {
    eth_requestAccounts: "Show this page the test account?",
    eth_signTypedData_v4: "Sign the allowance for exactly this payment?",
    eth_sendTransaction: "Send this on the local chain? It costs nothing.",
  };
  let connected = false;

  async function ask(method, params) {
    const answer = await fetch("/demo-wallet/rpc", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }),
    }).then((response) => response.json());
    if (answer.error) throw answer.error;
    return answer.result;
  }

  const provider = {
    async request({ method, params = [] }) {
      const question = QUESTIONS[method];
      const isNew = method !== "eth_requestAccounts" || !connected;
      if (question && isNew && !confirm(`Test wallet\n\n${question}`)) {
        throw { code: 4001, message: "The user rejected the request." };
      }
      if (method === "eth_requestAccounts") connected = true;
      if (method === "eth_accounts" && !connected) return [];
      return ask(method === "eth_requestAccounts" ? "eth_accounts" : method, params);
    },
    on() {},
    removeListener() {},
  };
  const info = { uuid: "6f0a5c1e-demo", name: "Test wallet of the demo", icon: ICON, rdns: "test.demo" };
  const announce = () =>
    window.dispatchEvent(new CustomEvent("eip6963:announceProvider", { detail: Object.freeze({ info, provider }) }));
  window.addEventListener("eip6963:requestProvider", announce);
  announce();
})();
