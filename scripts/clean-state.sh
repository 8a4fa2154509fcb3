#!/usr/bin/env bash
# Removes what lint and test keep outside the clone. The build folder goes with `cargo clean`.
set -euo pipefail
# shellcheck source=scripts/env.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/env.sh"

rm -rf -- "$cache"
say "removed $cache"
