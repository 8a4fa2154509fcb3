#!/usr/bin/env bash
# Release benchmarks: libraries first, then the whole oracle under a bounded load.
set -euo pipefail
here=$(dirname -- "${BASH_SOURCE[0]}")
# shellcheck source=scripts/env.sh
source "$here/env.sh"
# shellcheck source=scripts/need.sh
source "$here/need.sh"

need "${need_build[@]}"
exec cargo bench --locked --workspace --benches "$@"
