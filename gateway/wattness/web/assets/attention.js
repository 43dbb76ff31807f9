// What needs somebody: each finding is a sentence with what to do, and leads to where it is done.

import { duration, words } from "./format.js";

const SILENT_MS = 15 * 60_000;

export function findings({ status, boards, networks }) {
  return [
    ...store(status),
    ...broker(status),
    ...boards.flatMap((board) => ofBoard(board, status.now_unix_ms)),
    ...networks.flatMap(ofNetwork),
  ];
}

function store({ store }) {
  return store ? [{ tone: "bad", title: "Nothing can be stored", href: "#settings", text: store }] : [];
}

function broker({ broker: { connected, address, error } }) {
  if (connected) return [];
  const why = error ? ` (${error})` : "";
  return [
    {
      tone: "bad",
      title: "Boards cannot reach the gateway",
      href: "#settings",
      text: `The boards' broker at ${address} is not connected${why}. Boards keep what they measure until it is back.`,
    },
  ];
}

function ofBoard(board, now) {
  const name = board.name || board.kid,
    found = [];
  if (board.state === "quarantined") {
    found.push({
      tone: "bad",
      title: `${name} is quarantined`,
      href: "#boards",
      text: `Reason: ${words(board.reason) || "not given"}. Nothing of it is claimed until you release it with: wattness board release ${name}`,
    });
  }
  if (board.last_unix_ms === null) {
    found.push({
      tone: "warn",
      title: `${name} has sent nothing yet`,
      href: "#boards",
      text: "Put its settings on the board and switch it on; check its Wi-Fi and the broker's address.",
    });
  } else if (now - board.last_unix_ms > SILENT_MS) {
    found.push({
      tone: "warn",
      title: `${name} is silent for ${duration(now - board.last_unix_ms)}`,
      href: "#boards",
      text:
        board.provenance === "gateway"
          ? "Its values are unknown, not zero. Check the device, its address and its cable."
          : "Its values are unknown, not zero. Check its power and its Wi-Fi; it delivers what it kept once it is back.",
    });
  }
  const missing = board.log ? board.log.top - board.log.head : 0;
  if (missing > 0) {
    found.push({
      tone: "warn",
      title: `${name}: ${missing} frames behind a hole`,
      href: "#boards",
      text: "The gateway has asked the board for what is missing; nothing behind it is counted until it comes.",
    });
  }
  return found;
}

function ofNetwork(network) {
  if (!network.depth || !network.last_reason) return [];
  return [
    {
      tone: "warn",
      title: `${network.name} does not take reports`,
      href: "#networks",
      text: `${network.depth} wait; the last answer was: ${network.last_reason}. They are kept and sent again by themselves.`,
    },
  ];
}
