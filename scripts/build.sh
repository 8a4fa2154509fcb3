#!/usr/bin/env bash
# Builds both programs. `build.sh demo` also installs what the demo talks to.
set -euo pipefail
here=$(dirname -- "${BASH_SOURCE[0]}")
# shellcheck source=scripts/env.sh
source "$here/env.sh"
# shellcheck source=scripts/need.sh
source "$here/need.sh"

need "${need_build[@]}"
if [[ ${1:-build} == demo ]]; then
    need "${need_peers[@]}"
fi
cargo build --locked --workspace --bins
