#!/usr/bin/env bash
# Checks the systemd unit: that systemd understands every line, and that it stays as closed as it is.
set -euo pipefail
# shellcheck source=scripts/env.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/env.sh"

folder=$(mktemp -d)
trap 'rm -rf -- "$folder"' EXIT
unit=$folder/quorate-oracle.service
# The program need not be installed where the unit is checked.
sed 's|^ExecStart=[^ ]*|ExecStart=/bin/true|' packaging/quorate-oracle.service >"$unit"

complaints=$(systemd-analyze verify "$unit" 2>&1 | grep -F -- quorate-oracle || true)
[[ -z $complaints ]] || die "$complaints"
# Exposure in tenths of systemd's scale of 0 (closed) to 10.
systemd-analyze security --offline=true --no-pager --threshold=13 "$unit" >"$folder/report" || {
    cat "$folder/report"
    die "the unit is more exposed than it was"
}
tail -n 1 "$folder/report"
