#!/usr/bin/env bash
# Runs the token contracts on real keys. That of PIV erases them, so only those that are named, and only once their owner has agreed;
# that of security keys leaves nothing behind.
set -euo pipefail
here=$(dirname -- "${BASH_SOURCE[0]}")
# shellcheck source=scripts/env.sh
source "$here/env.sh"
# shellcheck source=scripts/need.sh
source "$here/need.sh"

[[ -n ${QUORATE_HW_SERIALS:-}${QUORATE_HW_FIDO:-} ]] ||
    die "name the keys that may be erased by the number on them: QUORATE_HW_SERIALS=12345678 make hw-test; security keys, of" \
        "which nothing is erased, by their devices: QUORATE_HW_FIDO=/dev/hidraw3 make hw-test"
need "${need_build[@]}" "${need_keys[@]}"
exec cargo run --locked -p quorate-hw-tests --bin quorate-hw-test
