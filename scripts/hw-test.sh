#!/usr/bin/env bash
# Runs the token contract on real keys. It writes to them, so it only touches the serial numbers that are named.
set -euo pipefail
here=$(dirname -- "${BASH_SOURCE[0]}")
# shellcheck source=scripts/env.sh
source "$here/env.sh"
# shellcheck source=scripts/need.sh
source "$here/need.sh"

[[ -n ${QUORATE_HW_SERIALS:-} ]] || die "name the keys that may be overwritten: QUORATE_HW_SERIALS=12345678 make hw-test"
need "${need_build[@]}"
export QUORATE_HW_SERIALS
exec cargo test --locked -p quorate-hw-tests "$@" -- --include-ignored --test-threads 1
