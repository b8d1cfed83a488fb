/** Keeps a form's values while the operator signs in, in this tab only. */

const DRAFT_KEY = `typed:${location.pathname}`;

export function saveDraft(form) {
  const values = [...form.elements].filter((field) => field.name && field.value).map((field) => [field.name, field.value]);
  sessionStorage.setItem(DRAFT_KEY, JSON.stringify(values));
}

export function restoreDraft(form) {
  const draft = sessionStorage.getItem(DRAFT_KEY);
  if (!draft) return false;
  sessionStorage.removeItem(DRAFT_KEY);
  for (const [name, value] of JSON.parse(draft)) {
    const field = form.elements.namedItem(name);
    if (field && !field.value) field.value = value;
  }
  return true;
}

export function buildSignInUrl() {
  return `/login?next=${encodeURIComponent(location.pathname + location.search)}`;
}
