// The few things that this page asks an oracle, at the address that a player's own Toc pins, or that was typed for a new key. It sends no cookies and no
// login, follows nobody elsewhere, and must not know what is sent.

import { Refused } from "./refused.js";
import { fingerprint } from "./header.js";
import { bytes64, integer, list, object, optional, text } from "./strict-json.js";
import { shown } from "./text.js";

const PATIENCE = 60000;
/** For what may be left unanswered. */
const SHORT_PATIENCE = 5000;

/** What refusals mean, by the word that they carry. */
const SENTENCES = {
  session_unknown: "The oracle knows no such session. It may be long over.",
  session_expired: "This session has ended: its time ran out.",
  session_cancelled: "Whoever asked has cancelled this session.",
  session_exhausted: "This session is used up.",
  session_redealt: "This redeal is done already.",
  group_refused: "A redeal has replaced this group: the oracle takes none of its Tocs.",
  bad_proof: "The oracle does not take the signature of your Toc for this group.",
  login_required: "This oracle asks for a login besides. This page has none: use quorate join.",
  second_factor_required: "This oracle asks for a login and a security key besides. This page has none: use quorate join.",
  pool_full: "You have sent your Toc to this session too often.",
  overloaded: "The oracle is busy. Nothing is lost: try again in a moment.",
  unavailable: "The oracle cannot answer now. Nothing is lost: try again in a moment.",
  timeout: "The oracle cannot answer now. Nothing is lost: try again in a moment.",
};

async function ask(url, options, patience = PATIENCE) {
  let response;
  try {
    response = await fetch(url, {
      ...options,
      mode: "cors",
      credentials: "omit",
      cache: "no-store",
      redirect: "error",
      referrerPolicy: "no-referrer",
      signal: AbortSignal.timeout(patience),
    });
  } catch {
    throw new Refused("out_of_reach", "The oracle is out of reach, or does not answer this page: its operator has to name this page's address in approve.origins.");
  }
  if (response.ok) return response;
  const { code, message } = (await response.json().catch(() => null)) ?? {};
  const sentence = Object.hasOwn(SENTENCES, code) ? SENTENCES[code] : `The oracle refused: ${shown(message ?? response.status)}.`;
  throw new Refused(code ?? "refused", sentence);
}

const at = (pin, invite, what = "") => `${pin.url}/sessions/${invite.session}${what}`;

/** As many as there are players, and nothing but a number: these words stand beside what was verified. */
const count = integer(0, 255);
const names = optional(list(text));
const detailsOf = object({ approvals: optional((value) => value), joined: names, denied: names }, { open: true });
const sessionOf = object({ tocs_provided: count, denials: count, details: optional(detailsOf) }, { open: true });

/** The session as it stands: `{joined, denied, asksLogin, joinedBy, deniedBy}`. The last two are names by the oracle's word, to compare
 * with one's own and never to show. */
export async function session(pin, invite) {
  const response = await ask(at(pin, invite), { headers: { "Quorate-Invite": invite.viewToken } });
  try {
    const { tocs_provided: joined, denials: denied, details } = sessionOf(await response.json());
    return {
      joined,
      denied,
      asksLogin: details?.approvals !== undefined,
      joinedBy: details?.joined ?? [],
      deniedBy: details?.denied ?? [],
    };
  } catch {
    throw new Refused("malformed", "What the oracle says of this session cannot be. Do not answer it.");
  }
}

const descriptionOf = object({ root_key: bytes64 }, { open: true });

/** The fingerprint of the root key that the oracle at `url` tells, to find typing errors and for nothing else; null where it tells this page
 * none. */
export async function toldFingerprint(url) {
  try {
    const response = await ask(`${url}/.well-known/quorate`, {}, SHORT_PATIENCE);
    return fingerprint(descriptionOf(await response.json()).root_key);
  } catch {
    return null;
  }
}

const post = (url, body) =>
  ask(url, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });

/** Approves: `{encrypted_toc, x, proof}`. */
export const addToc = (pin, invite, body) => post(at(pin, invite, "/tocs"), body);

/** Says no: `{x, proof, reason}`. */
export const deny = (pin, invite, body) => post(at(pin, invite, "/denials"), body);
