// The gateway's API: answers as values, problems as sentences with what to do about them.

const ROOT = "/api/v1/";
const REMEDIES = {
  403: "The gateway refused this request: open the page under the address that the gateway printed, and try again.",
  404: "The gateway does not know this: reload the page, it may be older than the gateway.",
  413: "That is more than the gateway takes at once: shorten it.",
};

export class Problem extends Error {
  constructor(status, sentence, retryS = null) {
    super(sentence);
    this.status = status;
    this.retryS = retryS;
  }
}

let onLoggedOut = () => {};

export const whenLoggedOut = (call) => {
  onLoggedOut = call;
};

export const ask = (path, query = {}) => request("GET", path + search(query));
export const send = (method, path, body) => request(method, path, body);

function search(query) {
  const given = Object.entries(query).filter(([, value]) => value !== null && value !== undefined);
  return given.length ? `?${new URLSearchParams(given)}` : "";
}

async function request(method, path, body) {
  const headers = method === "GET" ? {} : { "X-Wattness": "1" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(ROOT + path, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch {
    throw new Problem(
      0,
      "The gateway does not answer: check that it runs and that this device is in its network, then try again.",
    );
  }
  if (response.ok) return response.status === 204 ? null : response.json();
  const problem = await problemOf(response);
  if (response.status === 401 && path !== "login") onLoggedOut();
  throw problem;
}

async function problemOf(response) {
  const retryS = Number(response.headers.get("Retry-After")) || null;
  let said = "";
  try {
    said = (await response.json()).error ?? "";
  } catch {
    said = "";
  }
  const fallback =
    REMEDIES[response.status] ??
    `The gateway answered with error ${response.status}: try again, and look into its log if it stays.`;
  return new Problem(response.status, said || fallback, retryS);
}
