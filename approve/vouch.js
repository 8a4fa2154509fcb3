// Whether an invite may be believed, by what is known of one's own Toc: first by what is filed, before anybody touches
// anything, then by the Toc itself (SPEC §8.3). An invite never establishes trust by itself.

import { fromBase64 } from "./bytes.js";
import { verifyInvite } from "./invite.js";
import { recipientKey } from "./plan.js";
import { Refused } from "./refused.js";

const wrong = (what) => new Refused("other_group", `This invite has another ${what} than your Toc. Do not answer it.`);

/** Throws unless `invite` is of the group of `toc`, for its oracle, signed by it, and in time at `now` (Unix seconds). */
export function vouch(invite, toc, now) {
  if (invite.group !== toc.group) throw wrong("group");
  if (invite.oracle !== toc.oracle) {
    throw new Refused("other_oracle", "This invite is of another oracle than the one that your Toc names. Do not answer it.");
  }
  verifyInvite(invite, fromBase64(toc.rootKey), now);
  const same = {
    "group id": invite.group_id === toc.groupId,
    "number of players": invite.size === toc.size,
    threshold: invite.threshold === toc.threshold,
    note: invite.note === toc.note,
    applicant: plays(invite.applicant, toc),
    plan: !invite.plan || invite.plan.replaces.group === toc.group,
    "key to encrypt to": isTek(invite.tek),
  };
  const [other] = Object.entries(same).find(([, holds]) => !holds) ?? [];
  if (other) throw wrong(other);
}

/** A name with an x is the one that the header has at x. */
const plays = ({ holder, x }, toc) => holder === undefined || toc.players[x - 1] === holder;

/** In the spelling that can be encrypted to, too: what would fail later is refused before a touch. */
function isTek(tek) {
  try {
    return recipientKey(tek).x25519 && tek === tek.toLowerCase();
  } catch {
    return false;
  }
}

/** Whether `recipient` is that of the key that opens `toc`: of no other can the touch tell whose it is. */
export const isOwn = (recipient, toc) => recipient.toLowerCase() === toc.recipient;

/** The holder's name, when the plan keeps it without the key that opens `toc`: somebody may be taking the place. */
export function lostPlace(invite, toc) {
  const kept = invite.plan?.players.find((player) => player.holder === toc.holder);
  return kept && !kept.recipients.some((recipient) => isOwn(recipient, toc)) ? kept.holder : null;
}
