// What pages with forms have besides: security keys, which browsers use by script alone, words while something takes its
// time, copying, a search that answers at once, the time that a code is left, and pictures that are dropped or pasted.
// Everything but security keys works without it. Whatever comes from outside becomes text nodes, never markup.
"use strict";

(() => {
  const aloud = document.createElement("p");

  /** Says something where a screen reader reads it out, too. */
  function say(form, text) {
    const place = form.querySelector("[data-said]");
    if (place) place.textContent = text;
  }

  /** Why a key was not used, in words; browsers do not tell much more, on purpose. */
  function reason(error, form, passkey) {
    if (error.name === "InvalidStateError") return "This security key is registered already: use another one.";
    if (error.name === "SecurityError") return "The browser does not let this address use security keys.";
    if (error.name === "ConstraintError" || error.name === "NotSupportedError") return "This key cannot do that: use another one.";
    if (form.dataset.key === "get") {
      return "No key that is registered here has answered: it may be another one, or was not touched in time. Try again.";
    }
    if (passkey) {
      return "No passkey was made: this device may keep none that asks who you are, or nobody agreed in time. Try again.";
    }
    return "The security key was not touched in time, or somebody said no. Try again.";
  }

  const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
  const letters = (buffer) =>
    btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");

  /** The options as the browser takes them: by its own function, or as WebAuthn L3 §5.1.8 and §5.1.9 say that it works. */
  function options(form, passkey) {
    const given = JSON.parse(form.dataset.options);
    const create = form.dataset.key === "create";
    if (create) {
      form.elements.kind.value = passkey ? "passkey" : "key";
      given.hints = passkey ? ["client-device", "hybrid"] : ["security-key"];
      if (passkey) given.authenticatorSelection = { residentKey: "required", requireResidentKey: true, userVerification: "required" };
    }
    const own = PublicKeyCredential[create ? "parseCreationOptionsFromJSON" : "parseRequestOptionsFromJSON"];
    if (own) return own.call(PublicKeyCredential, given);
    for (const one of [given.user, ...(given.excludeCredentials ?? []), ...(given.allowCredentials ?? [])]) {
      if (one) one.id = bytes(one.id);
    }
    return { ...given, challenge: bytes(given.challenge) };
  }

  /** What a key answered: by the browser's own function, or as WebAuthn L3 §5.1 says that it works, as far as it is looked at. */
  function answer(credential) {
    if (credential.toJSON) return credential.toJSON();
    const { id, rawId, type, response } = credential;
    const parts = ["attestationObject", "authenticatorData", "clientDataJSON", "signature", "userHandle"];
    const told = parts.filter((part) => response[part]).map((part) => [part, letters(response[part])]);
    const transports = response.getTransports?.() ?? [];
    return { id, rawId: letters(rawId), type, response: { ...Object.fromEntries(told), transports } };
  }

  /** Asks a security key or a passkey, puts its answer into the form, and sends it. The key may take as long as the options say. */
  async function touch(form, button) {
    // What is missing in the form is said before anybody has to touch anything.
    if (!form.reportValidity()) return;
    const passkey = button.dataset.touch === "passkey";
    const buttons = form.querySelectorAll("[data-touch]");
    buttons.forEach((one) => (one.disabled = true));
    say(form, passkey ? "Your browser asks for the passkey." : "Touch your security key.");
    try {
      const publicKey = options(form, passkey);
      const create = form.dataset.key === "create";
      const credential = await (create ? navigator.credentials.create({ publicKey }) : navigator.credentials.get({ publicKey }));
      form.elements.credential.value = JSON.stringify(answer(credential));
      if (form.checkValidity()) return form.requestSubmit();
      // Something was typed meanwhile that cannot be.
      form.elements.credential.value = "";
      say(form, "");
      buttons.forEach((one) => (one.disabled = false));
      form.reportValidity();
    } catch (error) {
      say(form, reason(error, form, passkey));
      buttons.forEach((one) => (one.disabled = false));
      button.focus();
    }
  }

  function start() {
    for (const form of document.querySelectorAll("form[data-key]")) {
      const buttons = form.querySelectorAll("[data-touch]");
      if (!globalThis.PublicKeyCredential) {
        say(form, "This browser, or this address, does not know security keys: use a newer browser, with https.");
        continue;
      }
      for (const button of buttons) {
        button.hidden = false;
        button.addEventListener("click", (event) => {
          event.preventDefault();
          touch(form, button);
        });
      }
      // A form that is sent in another way asks the key as well.
      form.addEventListener("submit", (event) => {
        if (form.elements.credential.value) return;
        event.preventDefault();
        touch(form, buttons[0]);
      });
    }
    for (const form of document.querySelectorAll("form[data-wait]")) {
      form.addEventListener("submit", () => say(form, form.querySelector("[data-said]").dataset.waiting));
    }
    for (const button of document.querySelectorAll("[data-copy]")) {
      button.hidden = false;
      button.addEventListener("click", () => copy(button));
      if ("first" in button.dataset) button.focus();
    }
    for (const button of document.querySelectorAll("[data-print]")) {
      button.hidden = false;
      button.addEventListener("click", () => print());
    }
    document.querySelectorAll("form").forEach(compare);
    document.querySelectorAll("form[data-filter]").forEach(filter);
    document.querySelectorAll("[data-expires]").forEach(countdown);
    document.querySelectorAll("form[data-pictures]").forEach(pictures);
    aloud.className = "apart";
    aloud.setAttribute("role", "status");
    document.querySelector("main").append(aloud);
  }

  /** Says of two entries of a new password that they differ before they are sent, or anybody touches a key for them. */
  function compare(form) {
    const { password, again } = form.elements;
    if (!password || !again) return;
    const look = () => again.setCustomValidity(password.value === again.value ? "" : "These are two different passwords.");
    password.addEventListener("input", look);
    again.addEventListener("input", look);
  }

  async function copy(button) {
    const source = document.getElementById(button.dataset.copy);
    let said = "Copied";
    try {
      await navigator.clipboard.writeText(source.innerText.trim());
    } catch {
      getSelection().selectAllChildren(source);
      said = "Selected: copy it";
    }
    button.textContent = said;
    // A screen reader does not read out what a button is called anew.
    aloud.textContent = said;
  }

  /** Shows of a list what has the words of its search, while they are typed. */
  function filter(form) {
    const field = form.elements.search;
    const items = [...document.getElementById(form.dataset.filter).children];
    const words = items.map((item) => item.querySelector("h2, p").closest("div").textContent.toLowerCase());
    const count = document.getElementById("found");
    field.addEventListener("input", () => {
      const sought = field.value.trim().toLowerCase();
      items.forEach((item, index) => (item.hidden = !words[index].includes(sought)));
      count.textContent = `${items.filter((item) => !item.hidden).length} found`;
    });
  }

  /** Counts down what is left of a code, by this page's own clock from when the answer came. */
  function countdown(place) {
    const hand = place.querySelector(".hand");
    const left = place.querySelector("[data-left]");
    const over = place.querySelector("[data-over]");
    const came = performance.getEntriesByType("navigation")[0]?.responseStart ?? 0;
    const ends = came + Number(place.dataset.expires);
    const timer = setInterval(tick, 250);

    function tick() {
      const ms = Math.max(0, ends - performance.now());
      hand.setAttribute("stroke-dashoffset", String(100 - (100 * Math.min(ms, place.dataset.whole)) / place.dataset.whole));
      left.textContent = String(Math.ceil(ms / 1000));
      if (ms > 0) return;
      clearInterval(timer);
      place.classList.add("over");
      over.textContent = over.dataset.over;
    }
    tick();
  }

  /** Puts a picture that was dropped or pasted anywhere into the form's own field. */
  function pictures(form) {
    const take = (event, data) => {
      const picture = [...(data?.files ?? [])].find((file) => /^image\/(png|jpeg)$/.test(file.type));
      if (!picture) return;
      event.preventDefault();
      const files = new DataTransfer();
      files.items.add(picture);
      form.elements.picture.files = files.files;
      form.closest("details").open = true;
      say(form, "The picture is in the form: press Add.");
      form.querySelector("button").focus();
    };
    for (const words of form.querySelectorAll("[data-scripted]")) words.hidden = false;
    addEventListener("dragover", (event) => {
      if (event.dataTransfer?.types.includes("Files")) event.preventDefault();
    });
    addEventListener("drop", (event) => {
      // Else the browser would leave for a file that is no picture.
      if (event.dataTransfer?.types.includes("Files")) event.preventDefault();
      take(event, event.dataTransfer);
    });
    addEventListener("paste", (event) => take(event, event.clipboardData));
  }

  addEventListener("DOMContentLoaded", start);
})();
