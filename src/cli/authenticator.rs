//! What an authenticator app takes over, and what stands in for it: shown once, the URI and the codes as data, the picture
//! where somebody watches. It must not know whose they are.

use super::{Context, picture};
use crate::ui::{UiError, shown};
use zeroize::Zeroizing;

/// Shows `uri` as a picture to scan, where somebody watches.
pub(crate) fn show_picture(context: &Context, uri: &str) {
    if let Some(code) = picture::of(uri).filter(|_| context.ui.watched() && !context.ui.json()) {
        context.ui.say("scan this with the authenticator app:");
        context.ui.say(Zeroizing::new(picture::on_terminal(&code)).as_str());
    }
}

/// The codes, one a line, safe to show.
pub(crate) fn lines_of(codes: &[Zeroizing<String>]) -> Zeroizing<String> {
    let mut lines = Zeroizing::new(String::with_capacity(codes.iter().map(|code| code.len() * 12 + 1).sum()));
    for code in codes {
        if !lines.is_empty() {
            lines.push('\n');
        }
        lines.push_str(&Zeroizing::new(shown(code)));
    }
    lines
}

/// Says what recovery codes, which were just printed, are for.
pub(crate) fn say_what_codes_are_for(context: &Context) {
    context.ui.say(
        "each of these recovery codes stands in for the second factor once; they are shown this once, and replace all before: \
         keep them as you would a password, apart from the authenticator",
    );
}

/// Prints a secret line that is shown this once.
pub(crate) fn print_line(context: &Context, name: &str, secret: &str) -> Result<(), UiError> {
    context.ui.data(Zeroizing::new(format!("{name:<9}  {}", shown(secret))).as_str())
}
