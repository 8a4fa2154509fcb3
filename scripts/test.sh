#!/usr/bin/env bash
# Installs what is missing and runs every test. Arguments go to the test runner and narrow it.
set -euo pipefail
here=$(dirname -- "${BASH_SOURCE[0]}")
# shellcheck source=scripts/env.sh
source "$here/env.sh"
# shellcheck source=scripts/need.sh
source "$here/need.sh"

# shellcheck source=scripts/cargo-tool.sh
source "$here/cargo-tool.sh"

need "${need_build[@]}" "${need_peers[@]}" "${need_browser[@]}" "${need_card[@]}" "${need_store[@]}"
# Debian does not have it; the tests find it where age does.
cargo_tool age-plugin-yubikey 0.5.1
PATH=${tool%/*}:$PATH
# shellcheck source=scripts/python-peers.sh
source "$here/python-peers.sh"
# shellcheck source=scripts/axe.sh
source "$here/axe.sh"
# shellcheck source=scripts/approve-packages.sh
source "$here/approve-packages.sh"
# shellcheck source=scripts/virtual-key.sh
source "$here/virtual-key.sh"
virtual_key build --quiet
export QUORATE_VIRTUAL_KEY=$CARGO_TARGET_DIR/debug/quorate-virtual-key
# Not every machine has Debian's kernel; CI has.
if QUORATE_GUEST=$("$here/guest.sh"); then
    export QUORATE_GUEST
elif [[ ${CI:-} == true ]]; then
    die "the guest that security keys are tested in cannot be made: see above"
else
    unset QUORATE_GUEST
    export QUORATE_WITHOUT_GUEST="no guest can be made on this machine"
    say "left out: the tests under_a_kernel: $QUORATE_WITHOUT_GUEST"
fi

# A missing peer is a failure here, not a reason to skip.
export QUORATE_TEST_ALL=1
scope=(--workspace)
if (($#)); then
    scope=("$@")
fi

# Security keys on a double of hidapi: a workspace of its own, tested when nothing narrows the tests.
double=(--locked --manifest-path hw-tests/hidapi-double/Cargo.toml)
if ! command -v cargo-nextest >/dev/null; then
    say "cargo-nextest is not here: using cargo test"
    if (($# == 0)); then
        cargo test --no-fail-fast "${double[@]}"
    fi
    # Tests of one package run the programs of another, so those come first, built as the tests build them.
    cargo build --locked --workspace --bins --tests
    exec cargo test --locked --no-fail-fast "${scope[@]}"
fi
cargo build --locked --workspace --bins --tests
# Tests wait for servers, cards and clocks more than they compute.
export NEXTEST_TEST_THREADS=${NEXTEST_TEST_THREADS:-$((2 * $(nproc)))}
cargo nextest run --locked --no-fail-fast "${scope[@]}"
# nextest leaves out the examples in documentation.
if (($# == 0)); then
    cargo nextest run --no-fail-fast "${double[@]}"
    cargo test --locked --workspace --doc
fi
