// The live half of a session's page: reads the invite behind #, asks the oracle for names with the token derived from it,
// and follows the session's events. It must not verify the invite or look as if it did: that takes the key in a player's
// own Toc, and `quorate join` does it. Whatever comes from outside becomes text nodes, never markup.
"use strict";

(() => {
  const POLL = 5000;
  // The stream sends a comment each 15 seconds; three missing ones mean that it is dead or held back on the way.
  const SILENCE = 45000;
  const fragment = location.hash.slice(1);
  // Before the first paint, so that the style keeps the places free.
  if (fragment) document.documentElement.dataset.invite = "reading";

  let page, api, invite, session;
  let live = false, skew = 0, last = 0, asked = 0, firstCode = 0;

  const at = (id) => document.getElementById(id);
  const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

  // The same characters as the server's `escape_controls`, and all but the first of a row of blanks; a test compares the two.
  const DECEIVING = /[\u{0}-\u{1f}\u{7f}-\u{a0}\u{ad}\u{34f}\u{61c}\u{115f}-\u{1160}\u{1680}\u{180e}\u{2000}-\u{200b}\u{200e}-\u{200f}\u{2028}-\u{202f}\u{205f}-\u{206f}\u{2800}\u{3000}\u{3164}\u{feff}\u{ffa0}\u{fff9}-\u{fffb}\u{e0000}-\u{e007f}]|(?<= [\u{180b}-\u{180d}\u{180f}\u{200c}-\u{200d}\u{fe00}-\u{fe0f}\u{e0100}-\u{e01ef}]*) /gu;
  const NAMED = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };
  const shown = (text) =>
    String(text).replace(DECEIVING, (c) => NAMED[c] ?? `\\u{${c.codePointAt(0).toString(16)}}`);

  function element(name, ...children) {
    const made = document.createElement(name);
    made.append(...children);
    return made;
  }

  /** Text from a stranger: escaped, and isolated from the reading order around it. */
  const foreign = (text) => element("bdi", shown(text));

  function person(name) {
    if (name === undefined || name === null) return "Somebody";
    if (name === "unproved") return "Somebody without proof";
    if (name === "unverified") return "Somebody unverified";
    return foreign(name);
  }

  /** A player, and the principal that stands for them, if that was asked for. */
  function named(name, principal) {
    // Of a login without a Toc the principal is all there is.
    return principal && principal !== name ? element("span", person(name), " (", foreign(principal), ")") : person(name);
  }

  function moment(text) {
    const when = new Date(text);
    const today = when.toDateString() === new Date().toDateString();
    const clock = { hour: "2-digit", minute: "2-digit", timeZoneName: "short" };
    const made = element("time", when.toLocaleString([], today ? clock : { ...clock, month: "short", day: "numeric" }));
    made.dateTime = text;
    made.title = when.toLocaleString();
    return made;
  }

  const quoted = (link) => `'${link.replaceAll("'", "'\\''")}'`;

  // ---- The invite ----

  function bytesOf(base64) {
    const binary = atob(base64.replaceAll("-", "+").replaceAll("_", "/"));
    return Uint8Array.from(binary, (c) => c.charCodeAt(0));
  }

  const readJson = (bytes) => JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));

  /** Reads the fragment. Sets the state of the page when there is nothing to be had from it. */
  async function readInvite() {
    if (!fragment) return null;
    if (!globalThis.crypto?.subtle) return state("insecure");
    try {
      const [payload, signature, more] = fragment.split(".");
      if (!signature || more !== undefined) throw new Error("not an invite");
      const bytes = bytesOf(payload);
      const label = new TextEncoder().encode("quorate/1 view\0");
      const digest = await crypto.subtle.digest("SHA-256", new Uint8Array([...label, ...bytes]));
      const token = btoa(String.fromCharCode(...new Uint8Array(digest)));
      return {
        says: readJson(bytes),
        token: token.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", ""),
      };
    } catch {
      return state("damaged");
    }
  }

  function state(word) {
    document.documentElement.dataset.invite = word;
    return null;
  }

  const ask = (path, headers = {}, signal = undefined) =>
    fetch(api + path, {
      headers: invite ? { ...headers, "Quorate-Invite": invite.token } : headers,
      cache: "no-store",
      signal,
    });

  // ---- What the session looks like now ----

  /** Asks for the session and shows it. Once it is over, the server has a page of its own for that. */
  async function refresh() {
    let found;
    try {
      const response = await ask("");
      if (response.status === 410 || response.status === 404) return lookAgain();
      if (!response.ok) return;
      const date = Date.parse(response.headers.get("date"));
      if (date) skew = date - Date.now();
      found = await response.json();
    } catch {
      return; // Out of reach: the next poll tries again.
    }
    show(found);
  }

  /** At most once in three seconds, in case something between here and the oracle answers in its place. */
  async function lookAgain() {
    await sleep(Math.max(0, 3000 - performance.now()));
    location.reload();
  }

  function show(found) {
    session = found;
    const { tocs_provided: joined, tocs_threshold: needed, denials, details } = found;
    const missing = Math.max(0, needed - joined);
    at("joined").textContent = joined;
    at("bar").value = Math.min(joined, needed);
    at("verdict").textContent = missing === 0 ? "Enough have joined." : `${missing} more ${missing === 1 ? "is" : "are"} needed.`;
    at("denials").textContent = denials ? `${denials} said no.` : "";
    at("ends").replaceChildren(moment(found.expires_at));
    document.title = `${joined} of ${needed} joined`;
    tick();
    if (details) {
      showDetails(details, missing);
    } else if (invite) {
      // The token is a hash of the exact payload, so the oracle never issued this one for this session.
      state("mismatch");
    }
  }

  function showDetails(details, missing) {
    const what = page.dataset.purpose === "redeal" ? " asks to deal anew " : " asks for a code of ";
    const login = details.applicant_status === "login" ? ", by login at this oracle and without a Toc," : "";
    at("asks").replaceChildren(named(details.applicant, details.applicant_principal), login, what, details.note ? foreign(details.note) : "an account");
    if (details.note) document.title += ` · ${shown(details.note)}`;
    at("reason").replaceChildren(details.reason ? shown(details.reason) : element("em", "No reason was given."));
    const waiting = missing === 0 ? [] : [row("○", "waits for", `${missing} more`, "waiting")];
    at("people").replaceChildren(
      ...joiners(details),
      ...details.denied.map((name) => row("✗", "said no", person(name))),
      ...waiting,
    );
    if (at("plan-players")) showPlan(details);
    offer(`quorate join ${quoted(details.invite)}`, details.invite);
    const passkey = at("passkey");
    if (passkey) passkey.href = `${passkey.dataset.origin}/#${details.invite}`;
    if (document.documentElement.dataset.invite !== "confirmed") {
      state("confirmed");
      showPicture();
    }
  }

  /** Who has joined; where the oracle asks for a login, as whom, with what and when. */
  function joiners({ joined, approvals }) {
    if (!approvals?.length) return joined.map((name) => row("✓", "joined", person(name)));
    return approvals.map(({ holder, principal, with: key, at: when }) => {
      const made = row("✓", "joined", named(holder, principal));
      made.append(element("small", key === "webauthn" ? " with a security key, " : ", ", moment(when)));
      return made;
    });
  }

  function row(mark, word, who, kind) {
    const sign = element("span", mark);
    sign.setAttribute("aria-hidden", "true");
    const made = kind === "waiting" ? element("li", sign, " ", who, " to come") : element("li", sign, " ", who, " ", element("small", word));
    made.className = kind ?? word.replace(" ", "-");
    return made;
  }

  function showPlan(details) {
    const plan = readJson(bytesOf(invite.says.plan));
    const next = plan.players.map((player) => player.holder);
    at("plan-rule").replaceChildren(
      `The secret is split anew among ${next.length} players; any ${plan.threshold} of them will be enough. Their Tocs replace the old ones.`,
    );
    const change = (holder) => (details.players && !details.players.includes(holder) ? element("strong", "added") : "");
    at("plan-players").replaceChildren(
      ...plan.players.map(({ holder, recipients }) =>
        element("tr", element("td", foreign(holder)), element("td", String(recipients.length)), element("td", change(holder))),
      ),
    );
    const leaving = (details.players ?? []).filter((holder) => !next.includes(holder));
    const names = leaving.flatMap((holder, nth) => (nth ? [", ", foreign(holder)] : [foreign(holder)]));
    at("plan-leaving").replaceChildren(...(leaving.length ? ["No longer among them: ", ...names, "."] : []));
  }

  function offer(command, link) {
    at("command").textContent = command;
    at("command").dataset.link = link;
  }

  async function showPicture() {
    try {
      const response = await ask("/invite.svg");
      if (response.ok) {
        // An image: whatever an SVG may hold, there it runs nothing.
        const picture = URL.createObjectURL(await response.blob());
        at("picture").src = picture;
        at("large-picture").src = picture;
        return;
      }
    } catch {
      // Said below: the link can be copied all the same.
    }
    document.querySelector("[data-large]").hidden = true;
    at("picture-says").textContent = "This invite is too long for a QR code: send the link.";
  }

  // ---- Time ----

  function tick() {
    if (!session) return;
    const ends = Date.parse(session.expires_at);
    const left = Math.max(0, ends - Date.now() - skew);
    const seconds = Math.ceil(left / 1000);
    const pad = (number) => String(number).padStart(2, "0");
    const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
    at("left").textContent = (hours ? `${hours}:${pad(minutes)}` : minutes) + `:${pad(seconds % 60)}`;
    const whole = Math.max(1, ends - (firstCode || Date.parse(session.created_at)));
    at("ring").setAttribute("stroke-dashoffset", String(100 - 100 * Math.min(1, left / whole)));
    // The end by time is nobody's act; the oracle says when it is so.
    if (left === 0 && Date.now() - asked > 2000) {
      asked = Date.now();
      refresh();
    }
  }

  // ---- What happened ----

  const SENTENCES = {
    created: (who) => [who, " asked"],
    joined: (who) => [who, " joined"],
    denied: (who, reason) => [who, " said no", ...(reason ? [": “", foreign(reason), "”"] : [])],
    quorate: () => ["Enough have joined"],
    dropped: (who) => ["The Toc of ", who, " was false and was dropped"],
    code: (who) => [who, " was shown a code"],
    redealt: () => ["The plan was carried out"],
    received: (who) => [who, " signed receipt of a new Toc"],
    cancelled: () => ["The request was cancelled"],
    expired: () => ["Its time ran out"],
    exhausted: () => ["The request was used up"],
  };

  function happened(event, announce) {
    last = Math.max(last, event.seq);
    if (event.kind === "code") firstCode ||= Date.parse(event.at);
    const sentence = (SENTENCES[event.kind] ?? (() => [shown(event.kind)]))(named(event.who, event.principal), event.reason);
    const line = element("li", moment(event.at), " ", element("span", ...sentence));
    line.dataset.kind = event.kind;
    at("events").append(line);
    at("happened").hidden = false;
    if (announce) at("said").textContent = line.lastChild.textContent;
  }

  /** Follows the stream until it ends or falls silent. EventSource cannot send the invite's token; fetch can. */
  async function listen() {
    const silence = new AbortController();
    let timer;
    const heard = () => {
      clearTimeout(timer);
      timer = setTimeout(() => silence.abort(), SILENCE);
    };
    heard();
    try {
      const response = await ask("/events", last ? { "Last-Event-ID": String(last) } : {}, silence.signal);
      if (!response.ok) return;
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = "";
      for (;;) {
        const { value, done } = await reader.read();
        if (done) return;
        heard();
        connected(true);
        const blocks = (rest + value).split("\n\n");
        rest = blocks.pop();
        const events = blocks.map(eventOf).filter((event) => event && event.seq > last);
        const announce = last > 0;
        events.forEach((event) => happened(event, announce));
        if (events.length && page.dataset.state === "open") await refresh();
      }
    } finally {
      clearTimeout(timer);
      connected(false);
    }
  }

  function eventOf(block) {
    const data = block.split("\n").filter((line) => line.startsWith("data:")).map((line) => line.slice(5).trimStart());
    return data.length ? JSON.parse(data.join("\n")) : null;
  }

  function connected(now) {
    live = now;
    const place = at("connection");
    if (place) place.textContent = now ? "Live." : "Not live: looking each few seconds.";
  }

  async function follow() {
    for (let pause = 1000; ; pause = Math.min(2 * pause, 30000)) {
      const before = last;
      await listen().catch(() => {});
      if (last > before) pause = 1000;
      await refresh();
      await sleep(pause);
    }
  }

  // ---- After the end ----

  async function showReceipts() {
    for (;;) {
      const response = await ask("/redeal").catch(() => null);
      if (response?.ok) {
        const redeal = await response.json();
        const signed = redeal.tocs.filter((toc) => toc.received).length;
        at("receipts").textContent = redeal.complete
          ? `${signed} of ${redeal.tocs.length} have signed receipt. The old Tocs are refused.`
          : `${signed} of ${redeal.tocs.length} have signed receipt; with ${redeal.receipts_needed} the old Tocs are refused.`;
        at("new-tocs").replaceChildren(
          ...redeal.tocs.map(({ holder, received }) => row(received ? "✓" : "○", received ? "received" : "not yet", foreign(holder))),
        );
        const link = `${invite.says.oracle}/s/${invite.says.session}#${fragment}`;
        offer(`quorate session fetch ${quoted(link)}`, link);
        state("confirmed");
        if (signed === redeal.tocs.length) return;
      } else if (response?.status === 403) {
        return state("mismatch");
      }
      await sleep(2 * POLL);
    }
  }

  // ---- Copying ----

  async function copy(button) {
    const command = at("command");
    const text = button.dataset.copy === "link" ? command.dataset.link : command.textContent;
    const label = button.textContent;
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(command);
      button.textContent = "Selected: copy it";
    }
    at("said").textContent = button.textContent;
    button.disabled = true;
    await sleep(2000);
    button.textContent = label;
    button.disabled = false;
    button.focus();
  }

  async function start() {
    page = document.querySelector("[data-session]");
    if (!page) return;
    api = `../sessions/${page.dataset.session}`;
    document.querySelectorAll("button[data-copy]").forEach((button) => {
      button.addEventListener("click", () => copy(button));
    });
    document.querySelector("[data-large]")?.addEventListener("click", () => at("large").showModal());
    document.querySelector("[data-close]")?.addEventListener("click", () => at("large").close());
    invite = await readInvite();
    if (page.dataset.state === "open") {
      await refresh();
      setInterval(tick, 500);
      setInterval(() => live || refresh(), POLL);
      await follow();
    } else {
      if (invite && page.dataset.state === "redealt") showReceipts();
      await listen().catch(() => {});
    }
  }

  addEventListener("hashchange", () => location.reload());
  addEventListener("DOMContentLoaded", start);
})();
