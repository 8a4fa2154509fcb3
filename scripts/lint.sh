#!/usr/bin/env bash
# Every check that is not a test. The only script that installs lint tools.
set -euo pipefail
here=$(dirname -- "${BASH_SOURCE[0]}")
# shellcheck source=scripts/env.sh
source "$here/env.sh"
# shellcheck source=scripts/need.sh
source "$here/need.sh"
# shellcheck source=scripts/cargo-tool.sh
source "$here/cargo-tool.sh"
# shellcheck source=scripts/virtual-key.sh
source "$here/virtual-key.sh"

need "${need_build[@]}" "${need_shell_lint[@]}"
for component in rustfmt clippy; do
    probe=${component/rustfmt/fmt}
    cargo "$probe" --version >/dev/null 2>&1 || rustup component add "$component" || die "$component is missing and could not be added"
done

say "format"
cargo fmt --all --check
cargo fmt --manifest-path fuzz/Cargo.toml --check
cargo fmt --manifest-path tests/virtual-key/Cargo.toml --check
cargo fmt --manifest-path hw-tests/hidapi-double/Cargo.toml --all --check

say "shell"
shellcheck --external-sources scripts/*.sh hw-tests/guest/*.sh .ci/run

say "clippy"
cargo clippy --locked --workspace --all-targets --all-features -- -D warnings
# A workspace of its own; what the programs of libFuzzer add to the library is one line each.
cargo clippy --locked --manifest-path fuzz/Cargo.toml --all-targets -- -D warnings ||
    die "fuzz does not pass; if its lock file is behind: cargo check --manifest-path fuzz/Cargo.toml"
# The same for what is built with the double of hidapi.
cargo clippy --locked --manifest-path hw-tests/hidapi-double/Cargo.toml --workspace --all-targets -- -D warnings ||
    die "hw-tests/hidapi-double does not pass; if its lock file is behind: cp Cargo.lock hw-tests/hidapi-double &&" \
        "cargo metadata --format-version 1 --manifest-path hw-tests/hidapi-double/Cargo.toml >/dev/null"

virtual_key clippy -- -D warnings

say "documentation"
RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --all-features --no-deps --quiet

say "unused dependencies"
cargo_tool cargo-machete 0.9.2
"$tool" .

# Advisories need a database from the network: `cargo deny check advisories` by hand, or a scheduled job.
say "licences, bans and sources of dependencies (offline; advisories are not checked here)"
cargo_tool cargo-deny 0.20.2
cargo fetch --locked --quiet
"$tool" --workspace --offline --locked check --hide-inclusion-graph licenses bans sources

if command -v systemd-analyze >/dev/null; then
    say "systemd unit"
    scripts/check-unit.sh
fi
