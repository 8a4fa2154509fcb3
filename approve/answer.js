// Answering an invite: it is read and verified, and what it asks is shown, before anybody touches anything; then one touch
// opens the Toc, which says yes or no. After that nothing secret is left.

import { base64, utf8, wipe } from "./bytes.js";
import * as drawer from "./drawer.js";
import { alone, isBusy, onSubmit, say } from "./form.js";
import { parseInvite } from "./invite.js";
import * as oracle from "./oracle.js";
import { factsOf, isAsFiled, openToc } from "./own-toc.js";
import { encryptTo } from "./passkey.js";
import { approveMessage, denyMessage } from "./proof.js";
import { Refused } from "./refused.js";
import { counts, show } from "./request.js";
import { sign } from "./signature.js";
import { at } from "./text.js";
import { shareSeed, shortToc } from "./toc.js";
import { vouch } from "./vouch.js";

const MAX_REASON = 1024;
const now = () => Math.floor(Date.now() / 1000);

/** The invite that is shown and may be answered, with the Toc that vouches for it. */
let current = null;
/** The invite in the address that was read, or offered for reading, last. */
let seen = "";
/** What was answered in this window, by session: `{toc, no}`. */
const answered = new Map();

export function start() {
  onSubmit("read", "read-said", () => read(at("invite").value));
  onSubmit("approve", "answer-said", () => answer(approval));
  at("deny").addEventListener("click", () => {
    at("denial").hidden = false;
    at("denial-reason").focus();
  });
  onSubmit("denial", "answer-said", () => {
    const reason = at("denial-reason").value.trim();
    if (utf8(reason).length > MAX_REASON) throw new Refused("reason", "That is too long: say it in fewer words.");
    return answer((invite, opened, pin) => denial(invite, opened, pin, reason));
  });
  at("other").addEventListener("click", () => {
    if (hasMoved()) return offerAddress();
    forget();
    at("invite").focus();
  });
  addEventListener("hashchange", fromAddress);
  fromAddress();
}

/** The invite that the address has behind its first #; nothing if there is none. */
function inAddress() {
  const given = location.hash.slice(1);
  // Some programs that pass links on write the second # as %23, and with it the rest.
  return given.includes("#") ? given : unescaped(given);
}

/** Whether the address has got another invite meanwhile. */
const hasMoved = () => !["", seen].includes(inAddress());

/** Reads the invite in the address. What stands below comes when that is done, so that nothing moves. */
async function fromAddress() {
  // What is under way looks at the address when it is done.
  if (isBusy() || !inAddress()) return;
  // Whoever opened this window may change its address: nothing comes under a hand that is about to answer something else.
  if (!at("request").hidden) return offerAddress();
  seen = inAddress();
  at("invite").value = seen;
  document.documentElement.dataset.reading = "";
  await alone("read-said", () => read(seen));
  delete document.documentElement.dataset.reading;
}

/** Puts the invite in the address into the form, in place of whatever is shown. */
function offerAddress() {
  forget();
  seen = inAddress();
  at("invite").value = seen;
  say("read-said", "The address has another invite now: read it.");
  at("read-said").focus();
}

function unescaped(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function forget() {
  current = null;
  at("request").hidden = true;
  at("done").hidden = true;
  at("read").hidden = false;
  at("denial").hidden = true;
  at("denial-reason").value = "";
  at("invite").value = "";
  say("read-said");
  say("answer-said");
}

/** Reads `link`, unless the address gets another invite before that is done. */
async function read(link) {
  try {
    await take(link);
  } catch (error) {
    if (!hasMoved()) throw error;
  }
  if (hasMoved()) offerAddress();
}

async function take(link) {
  say("read-said", "Reading the invite …");
  at("request").hidden = true;
  current = null;
  const invite = parseInvite(link);
  if (invite.group === undefined) {
    throw new Refused("farmfa", "This invite is for Tocs dealt by farMFA, which this page does not hold: use quorate join.");
  }
  const toc = drawer.tocOf(invite.group);
  const session = await standing(invite, toc);
  show(invite, toc, session);
  offer(invite, toc, session);
  current = { invite, toc };
  say("read-said");
  say("answer-said");
  at("read").hidden = true;
  at("done").hidden = true;
  at("approve").hidden = false;
  at("request").hidden = false;
  delete document.documentElement.dataset.reading;
  at("asks").focus();
}

/** How the session of an invite that may be believed stands; what was answered here before is said with what went wrong. */
async function standing(invite, toc) {
  try {
    vouch(invite, toc, now());
    if (invite.applicant.status === "named") needsLogin();
    const session = await oracle.session({ url: toc.oracle }, invite);
    if (session.asksLogin) needsLogin();
    return session;
  } catch (error) {
    const { toc: sent, no } = answered.get(invite.session) ?? {};
    if (!sent && !no) throw error;
    throw new Refused(error.word, `${error.message} ${sent ? "You had sent your Toc to it." : "You had said no to it."}`);
  }
}

/** What there is of this player: `toc` and `no` by the oracle's word, or where it gives none by what was sent from this window; `own`, whether a Toc
 * was sent from here. Somebody else may have sent one in this player's name, and one that was sent may be gone. */
function before(invite, toc, session) {
  const here = answered.get(invite.session);
  return {
    toc: session ? session.joinedBy.includes(toc.holder) : Boolean(here?.toc),
    no: Boolean(here?.no || session?.deniedBy.includes(toc.holder)),
    own: Boolean(here?.toc),
  };
}

/** Offers the answers that can still change something, and says why not the others. */
function offer(invite, toc, session) {
  const { toc: there, no, own } = before(invite, toc, session);
  const words = [];
  if (there && own) words.push(`Your Toc is there already: ${counts(session, invite)}. Nothing more is needed of you.`);
  else if (there) {
    words.push(
      `The oracle has a Toc in your name already: ${counts(session, invite)}. If you have not sent it, somebody else has your Toc: tell the dealer. ` +
        "Approving sends it anew.",
    );
  } else if (own) words.push("The oracle names no Toc of yours any more, though one was sent from this window: you may approve again.");
  if (no) words.push(there ? "You have said no as well, which does not take it back." : "You have said no already. You may still approve.");
  else if (there) words.push("Saying no tells everybody, and does not take your Toc back.");
  at("already").textContent = words.join(" ");
  at("already").hidden = words.length === 0;
  at("yes").hidden = there && own;
  at("deny").hidden = no;
}

function needsLogin() {
  throw new Refused("login_required", "This oracle asks for a login besides. This page has none: use quorate join.");
}

/** Opens the Toc with one touch, looks at everything once more by the Toc's own word, and sends what `make` makes of it. */
async function answer(make) {
  const { invite, toc } = current;
  // It may have been read a while ago.
  vouch(invite, toc, now());
  const key = drawer.keyOf(toc.recipient);
  if (!key) throw new Refused("no_key", "The key of this Toc is not here any more: take it up again from its file, below.");
  say("answer-said", "Use your passkey now.");
  const opened = await openToc(key, toc.file);
  let said;
  try {
    const facts = factsOf(opened, key);
    if (!isAsFiled(facts, toc)) {
      throw new Refused("other_toc", "Your Toc is not what is noted of it here, so what was shown may be false. Nothing was sent. Remove it, and file it anew.");
    }
    vouch(invite, facts, now());
    say("answer-said", "Sending …");
    said = await make(invite, opened, { url: facts.oracle });
  } finally {
    wipe(opened.share);
  }
  await finish(invite, toc, said);
}

function signed(opened, message) {
  const seed = shareSeed(opened.share, opened.header.group_id, opened.player.toc_id);
  try {
    return base64(sign(seed, message));
  } finally {
    wipe(seed);
  }
}

async function approval(invite, opened, pin) {
  const clear = shortToc(opened);
  const encrypted = await encryptTo(invite.tek, clear).finally(() => wipe(clear));
  const proof = signed(opened, approveMessage(invite.digest, opened.group, opened.x, encrypted));
  await oracle.addToc(pin, invite, { encrypted_toc: encrypted, x: opened.x, proof });
  answered.set(invite.session, { ...answered.get(invite.session), toc: true });
  return "Your Toc has been sent";
}

async function denial(invite, opened, pin, reason) {
  const proof = signed(opened, denyMessage(invite.digest, opened.group, opened.x, reason));
  await oracle.deny(pin, invite, { x: opened.x, proof, reason });
  answered.set(invite.session, { ...answered.get(invite.session), no: true });
  return "Your no has been sent";
}

/** The answer has arrived; that the counts cannot be read, or that the session has ended by now, is no failure of it. */
async function finish(invite, toc, said) {
  const session = await oracle.session({ url: toc.oracle }, invite).catch(() => null);
  say("answer-said");
  const later = hasMoved() ? " The address has another invite by now, which this was no answer to: press Another invite." : "";
  const { toc: sent, no } = before(invite, toc, session);
  const both = sent && no ? " Your Toc is there, and a no does not take it back." : "";
  at("done-says").textContent = `${said}${session ? `: ${counts(session, invite)}` : ""}.${both}${later}`;
  at("already").hidden = true;
  at("approve").hidden = true;
  at("denial").hidden = true;
  at("done").hidden = false;
  at("done-says").focus();
  current = null;
}

