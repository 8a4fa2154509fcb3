// What a constituent reads before touching a passkey: who asks, for what, why, and what the oracle's signature does and does
// not prove. It must not know how an invite is verified.

import { at, describe, element, foreign, moment, quoted, shown } from "./text.js";
import { isOwn, lostPlace } from "./vouch.js";

/** Shows `invite`, which was verified under `toc`; `session` is how it stands. */
export function show(invite, toc, session) {
  const redeal = invite.plan !== null;
  at("asks").replaceChildren(
    ...name(invite.applicant),
    redeal ? " asks for a redeal of " : " asks for one-time codes of ",
    invite.note ? foreign(invite.note) : "an account",
  );
  at("why").replaceChildren(quoted(invite.reason));
  describe("facts", [
    ["Who asks", ...applicant(invite.applicant)],
    ["For", redeal ? "a redeal: new Tocs, and the old ones refused" : `one-time codes, ${allowance(invite.ttl, invite.max_codes)}`],
    ["You answer as", foreign(toc.holder), ` (Toc ${toc.x})`],
    ["Group", foreign(invite.group_id), `: ${invite.threshold} of ${invite.size} Tocs are needed`],
    ["Oracle", foreign(invite.oracle)],
    ["Asked", moment(invite.created), ", until ", moment(invite.expires)],
    ["So far", counts(session, invite)],
  ]);
  at("proves").replaceChildren(...proves(invite.applicant).map((line) => element("p", line)));
  at("plan").hidden = !redeal;
  if (redeal) showPlan(invite.plan, toc);
  const lost = lostPlace(invite, toc);
  at("lost").hidden = lost === null;
  if (lost !== null) at("lost-name").replaceChildren(foreign(lost));
}

/** How a session stands: numbers of the oracle's, and how many are needed by the signed invite. */
export function counts({ joined, denied }, { threshold }) {
  const said = denied ? `, ${denied} said no` : "";
  return `${joined} of ${threshold} needed${said}`;
}

const name = (applicant) => [applicant.status === "unverified" ? "Somebody" : foreign(applicant.holder ?? applicant.principal)];

function applicant({ status, holder, x, principal }) {
  switch (status) {
    case "named":
      return [foreign(principal), ", as ", foreign(holder), ` (proved: logged in, and signed with the key of Toc ${x})`];
    case "login":
      return [foreign(principal), ", by login at this oracle; showed no Toc"];
    case "proved":
      return [foreign(holder), ` (proved: signed with the key of Toc ${x})`];
    default:
      return ["unverified: nothing proves who it is"];
  }
}

/** What an approval of codes is good for. */
function allowance(ttl, most) {
  const long = ttl % 60 ? `${ttl} s` : `${ttl / 60} min`;
  return `for ${long} after the first one${most === undefined ? "" : `, ${most} at most`}`;
}

function proves({ status }) {
  const words = {
    named: "That proves which Toc asks, that the oracle saw that login, and that the key to encrypt to is the oracle’s. It does not prove that the reason is true: when in doubt, call.",
    login: "That proves that the oracle saw that login, and that the key to encrypt to is the oracle’s. No Toc vouches for who asks, and nothing for the reason: when in doubt, call.",
    proved: "That proves which Toc asks and that the key to encrypt to is the oracle’s. It does not prove that the reason is true, or who sits at that keyboard: when in doubt, call.",
    unverified: "That proves that the key to encrypt to is the oracle’s. It proves neither who asks nor that the reason is true: call them before you agree.",
  };
  return ["The oracle that your Toc names signed exactly this request.", words[status]];
}

function showPlan(plan, toc) {
  const fewer = plan.players.length < toc.size ? ": fewer players" : "";
  at("plan-rule").textContent = `${plan.threshold} of ${plan.players.length} players (now ${toc.threshold} of ${toc.size})${fewer}.`;
  at("plan-note").replaceChildren(...(plan.note === toc.note ? [] : ["Its note: ", quoted(plan.note)]));
  at("plan-players").replaceChildren(...plan.players.map((player) => row(player, toc)));
  const leaving = toc.players.filter((holder) => !plan.players.some((player) => player.holder === holder));
  const names = leaving.flatMap((holder, nth) => (nth ? [", ", foreign(holder)] : [foreign(holder)]));
  at("plan-leaving").replaceChildren(...(names.length ? ["No longer among them: ", ...names, "."] : []));
}

/** A player of the plan. Recipients stand there whole: the start of a key proves nothing. */
function row({ holder, recipients }, toc) {
  const keys = recipients.map((recipient) => {
    const whose = isOwn(recipient, toc) ? " your key" : holder === toc.holder ? " not the key of this Toc" : "";
    return element("li", element("code", shown(recipient)), element("strong", whose));
  });
  const list = element("ul", ...keys);
  list.className = "plain";
  const player = element("th", foreign(holder), toc.players.includes(holder) ? "" : element("strong", " added"));
  player.scope = "row";
  const held = element("td", list);
  held.dataset.label = "Keys";
  return element("tr", player, held);
}
