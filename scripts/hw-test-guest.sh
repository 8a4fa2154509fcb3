#!/usr/bin/env bash
# Runs the programs in a guest, where a kernel takes virtual security keys for devices.
set -euo pipefail
here=$(dirname -- "${BASH_SOURCE[0]}")
# shellcheck source=scripts/env.sh
source "$here/env.sh"
# shellcheck source=scripts/need.sh
source "$here/need.sh"
# shellcheck source=scripts/virtual-key.sh
source "$here/virtual-key.sh"

need "${need_build[@]}"
QUORATE_GUEST=$("$here/guest.sh")
export QUORATE_GUEST QUORATE_TEST_ALL=1
virtual_key build --quiet
cargo build --locked --workspace --bins
exec cargo test --locked --workspace --test guest -- --nocapture
