#!/usr/bin/env bash
# Release benchmarks, some four minutes once built: the protocol, a deal as a whole process, the store's writer, the whole
# oracle under load. Arguments name those to run: protocol deal store_writer sessions mfa. What they mean: docs/performance.md.
set -euo pipefail
here=$(dirname -- "${BASH_SOURCE[0]}")
# shellcheck source=scripts/env.sh
source "$here/env.sh"
# shellcheck source=scripts/need.sh
source "$here/need.sh"

need "${need_build[@]}"
if (($# == 0)); then
    set -- protocol deal store_writer sessions mfa
fi
exec cargo bench --locked --workspace "${@/#/--bench=}"
