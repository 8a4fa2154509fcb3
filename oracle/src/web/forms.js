// What pages with forms have besides: security keys, which browsers use by script alone, and words while something takes
// its time. Everything else works without it. Whatever comes from outside becomes text nodes, never markup.
"use strict";

(() => {
  /** Says something where a screen reader reads it out, too. */
  function say(form, text) {
    const place = form.querySelector("[data-said]");
    if (place) place.textContent = text;
  }

  /** Why a key was not used, in words; browsers do not tell much more, on purpose. */
  function reason(error) {
    if (error.name === "InvalidStateError") return "This security key is registered already: use another one.";
    if (error.name === "SecurityError") return "The browser does not let this address use security keys.";
    return "The security key did not answer. Try again.";
  }

  /** Asks a security key, puts its answer into the form, and sends it. */
  async function touch(form, button) {
    // What is missing in the form is said before anybody has to touch anything.
    if (!form.reportValidity()) return;
    button.disabled = true;
    say(form, "Touch your security key.");
    try {
      const options = JSON.parse(form.dataset.options);
      const credential =
        form.dataset.key === "create"
          ? await navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options) })
          : await navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options) });
      form.elements.credential.value = JSON.stringify(credential.toJSON());
      form.requestSubmit();
    } catch (error) {
      say(form, reason(error));
      button.disabled = false;
      button.focus();
    }
  }

  function start() {
    for (const form of document.querySelectorAll("form[data-key]")) {
      const button = form.querySelector("[data-touch]");
      if (!globalThis.PublicKeyCredential?.parseCreationOptionsFromJSON) {
        say(form, "This browser, or this address, does not know security keys well enough: use a newer browser, with https.");
        continue;
      }
      button.hidden = false;
      button.addEventListener("click", () => touch(form, button));
      // Enter in a field asks the key as well.
      form.addEventListener("submit", (event) => {
        if (form.elements.credential.value) return;
        event.preventDefault();
        touch(form, button);
      });
    }
    for (const form of document.querySelectorAll("form[data-wait]")) {
      form.addEventListener("submit", () => say(form, form.querySelector("[data-said]").dataset.waiting));
    }
    for (const button of document.querySelectorAll("[data-copy]")) {
      button.hidden = false;
      button.addEventListener("click", () => copy(button));
    }
    for (const button of document.querySelectorAll("[data-print]")) {
      button.hidden = false;
      button.addEventListener("click", () => print());
    }
  }

  async function copy(button) {
    const source = document.getElementById(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(source.innerText);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(source);
      button.textContent = "Selected: copy it";
    }
  }

  addEventListener("DOMContentLoaded", start);
})();
