// Invites, and the certificates that lead from the root key in a Toc to the key that signed one (SPEC §8). It must not know
// whose Toc, nor show anything.

import { base64url, equal, fromBase64url, sha256, utf8, concat } from "./bytes.js";
import { isUrl } from "./header.js";
import { parsePlan } from "./plan.js";
import { Refused } from "./refused.js";
import { isKey, verify } from "./signature.js";
import { byte, bytes64, groupName, list, object, oneOf, optional, parse, seconds, text, u32 } from "./strict-json.js";

const MAX_INVITE = 256 * 1024;
const MAX_CHAIN = 8;
const MAX_TIME = 2 ** 40;

const certifiedOf = object({
  version: u32,
  kind: oneOf("invite-key", "root-key"),
  key: bytes64,
  not_before: seconds,
  expires: seconds,
});

const APPLICANTS = {
  proved: object({ status: text, holder: text, x: byte }),
  named: object({ status: text, holder: text, x: byte, principal: text }),
  login: object({ status: text, principal: text }),
  unverified: object({ status: text }),
};

function applicant(value) {
  const status = value?.status;
  if (typeof status !== "string" || !Object.hasOwn(APPLICANTS, status)) throw new Refused("shape", "it does not say who asks");
  return APPLICANTS[status](value);
}

const fieldsOf = object({
  version: u32,
  session: text,
  oracle: text,
  tek: text,
  group: optional(groupName),
  group_id: text,
  size: byte,
  threshold: byte,
  note: text,
  purpose: oneOf("code", "redeal"),
  plan_digest: optional(bytes64),
  plan: optional(bytes64),
  applicant,
  reason: text,
  ttl: u32,
  max_codes: optional(u32),
  created: seconds,
  expires: seconds,
  certificates: list(object({ payload: bytes64, signature: bytes64 })),
});

const malformed = (why) => new Refused("malformed", `This is not an invite: ${why}.`);

/** Reads a whole link, or only its fragment. Nothing is verified yet. */
export function parseInvite(link) {
  if (link.length > MAX_INVITE) throw malformed("it is too long");
  const [address, payload, signature] = takeApart(link.trim());
  let fields;
  try {
    fields = fieldsOf(parse(payload));
  } catch {
    throw malformed("what it says is unreadable");
  }
  const redeal = fields.purpose === "redeal";
  const byLogin = fields.applicant.status === "login";
  const sound =
    fields.version === 1 &&
    /^[A-Z2-7]{32}$/.test(fields.session) &&
    isUrl(fields.oracle) &&
    fields.threshold >= 2 &&
    fields.threshold <= fields.size &&
    fields.created >= 0 &&
    fields.created < fields.expires &&
    fields.expires < MAX_TIME &&
    (fields.plan !== undefined) === redeal &&
    (fields.plan_digest !== undefined) === redeal &&
    (!byLogin || (!redeal && fields.group !== undefined));
  if (!sound) throw malformed("what it says cannot be");
  if (address !== null && address !== `${fields.oracle}/s/${fields.session}`) {
    throw malformed("the address before # is not the one inside");
  }
  const plan = redeal ? parsePlan(fields.plan) : null;
  if (plan && !equal(plan.digest, fields.plan_digest)) throw malformed("the plan is not the one that its digest names");
  return {
    ...fields,
    plan,
    payload,
    signature,
    digest: sha256(payload),
    viewToken: base64url(sha256(utf8("quorate/1 view\0"), payload)),
  };
}

function takeApart(link) {
  const at = link.indexOf("#");
  if (at < 0 && link.includes("/")) throw malformed("the part behind # is missing");
  const fragment = link.slice(at + 1);
  const dot = fragment.indexOf(".");
  try {
    if (dot < 0) throw new Error("cut off");
    const [payload, signature] = [fragment.slice(0, dot), fragment.slice(dot + 1)].map(fromBase64url);
    return [at < 0 ? null : link.slice(0, at), payload, signature];
  } catch {
    throw malformed("it is damaged or cut off");
  }
}

const foreignKey = () => new Refused("signature", "This invite is not signed by the oracle that your Toc names. Do not answer it.");

/** The key that may sign invites at `now` (Unix seconds), going by `chain` from `root`. */
export function followChain(root, chain, now) {
  if (chain.length > MAX_CHAIN) throw malformed("it has too many certificates");
  let key = root;
  let end = null;
  for (const { payload, signature } of chain) {
    if (end) throw malformed("a certificate stands behind that of the invite key");
    const signed = verify(key, concat(utf8("quorate/1 certificate\0"), payload), signature);
    const certified = readCertificate(payload);
    if (!signed) {
      // A Toc may pin a later root than the first of the chain: what that root did not sign is before its time.
      if (certified.kind === "root-key") continue;
      throw foreignKey();
    }
    if (now < certified.not_before || now >= certified.expires) {
      throw new Refused("certificate_expired", "The certificate of this oracle's invites is not valid now. Is this device's clock right?");
    }
    key = certified.key;
    if (certified.kind === "invite-key") end = key;
  }
  if (!end) throw foreignKey();
  return end;
}

function readCertificate(payload) {
  let certified;
  try {
    certified = certifiedOf(parse(payload));
  } catch {
    throw malformed("a certificate is unreadable");
  }
  if (certified.version !== 1 || !isKey(certified.key)) throw malformed("a certificate in it cannot be");
  return certified;
}

/** Throws unless a key certified by `root` signed this invite, and its time is not over at `now` (Unix seconds). */
export function verifyInvite(invite, root, now) {
  const key = followChain(root, invite.certificates, now);
  if (!verify(key, concat(utf8("quorate/1 invite\0"), invite.payload), invite.signature)) throw foreignKey();
  if (now >= invite.expires) throw new Refused("expired", "This invite has expired. Whoever asked has to ask again.");
}
