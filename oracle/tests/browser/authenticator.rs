//! Security keys that Chromium plays (`WebAuthn` L3 §12, and Chromium's own domain): plugged in, touched or not, knowing their
//! user or not; and what a person does with a keyboard.

use super::{Browser, Vendor};
use fantoccini::actions::{InputSource as _, KeyAction, KeyActions};
use fantoccini::key::Key;
use serde_json::{Value, json};

impl Browser {
    /// Plugs in a key that speaks `protocol`, whose user touches it at once and, where it can ask, is the right one.
    pub async fn plug_in(&self, protocol: &str) -> Value {
        let asks = protocol != "ctap1/u2f";
        self.add_key(json!({ "protocol": protocol, "transport": "usb", "hasResidentKey": false,
            "hasUserVerification": asks, "isUserConsenting": true, "isUserVerified": asks }))
            .await
    }

    /// A device that keeps passkeys.
    pub async fn passkeys(&self) -> Value {
        self.add_key(json!({ "protocol": "ctap2_1", "transport": "internal", "hasResidentKey": true,
            "hasUserVerification": true, "isUserConsenting": true, "isUserVerified": true }))
            .await
    }

    async fn add_key(&self, key: Value) -> Value {
        self.client.issue_cmd(Vendor { path: "webauthn/authenticator", body: key }).await.expect("a virtual key")
    }

    /// Whether the key is touched from here on; else it waits.
    pub async fn touched(&self, key: &Value, touched: bool) {
        let how = json!({ "authenticatorId": key, "enabled": touched });
        self.chromium("WebAuthn.setAutomaticPresenceSimulation", how).await;
    }

    /// Whether the key takes whoever is there for its user from here on.
    pub async fn verified(&self, key: &Value, verified: bool) {
        let how = json!({ "authenticatorId": key, "isUserVerified": verified });
        self.chromium("WebAuthn.setUserVerified", how).await;
    }

    /// Puts a credential into the key; bytes in base64.
    pub async fn put_in(&self, key: &Value, credential: Value) {
        let what = json!({ "authenticatorId": key, "credential": credential });
        self.chromium("WebAuthn.addCredential", what).await;
    }

    /// The credentials in the key.
    pub async fn held(&self, key: &Value) -> Vec<Value> {
        let mut held = self.chromium("WebAuthn.getCredentials", json!({ "authenticatorId": key })).await;
        serde_json::from_value(held["credentials"].take()).expect("a list")
    }

    /// From here on every page runs `script` before its own.
    pub async fn before_scripts(&self, script: &str) {
        self.chromium("Page.addScriptToEvaluateOnNewDocument", json!({ "source": script })).await;
    }

    /// Types into whatever has the focus.
    pub async fn type_in(&self, text: &str) {
        let strokes = text.chars().flat_map(|value| [KeyAction::Down { value }, KeyAction::Up { value }]);
        let typed = strokes.fold(KeyActions::new("keyboard".to_owned()), KeyActions::then);
        self.client.perform_actions(typed).await.expect("a text is typed");
    }

    /// Goes on with the tabulator until what is so called has the focus; gives what had it on the way, and it.
    pub async fn tab_to(&self, called: &str) -> Vec<String> {
        let mut reached: Vec<String> = Vec::new();
        while reached.last().is_none_or(|last| last != called) {
            self.press(Key::Tab).await;
            reached.push(self.focused().await);
            assert!(reached.len() < 40, "{called:?} is not among {reached:?}");
        }
        reached
    }

    /// What has the focus is called; nothing where nothing has it. It must be seen to have it.
    pub async fn focused(&self) -> String {
        self.run(FOCUSED).await.as_str().unwrap_or_default().to_owned()
    }

    /// A window of that size, from before a page is opened.
    pub async fn sized(&self, width: u32, height: u32) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.chromium("Emulation.setDeviceMetricsOverride", size).await;
    }
}

const FOCUSED: &str = "const one = document.activeElement; \
    if (!one || one === document.body) return ''; \
    if (getComputedStyle(one).outlineStyle === 'none') return 'invisible focus'; \
    return one.getAttribute('aria-label') ?? (one.labels?.[0] ?? one).innerText.replace(/\\s+/g, ' ').trim();";
