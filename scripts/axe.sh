# shellcheck shell=bash disable=SC2154
# axe-core, pinned in tests/axe with the hash of what npm serves, in a folder outside the clone. Sourced after need.sh; sets
# QUORATE_AXE to the script that browser tests run in every page. The folder carries the hash of the pins.

axe=$cache/axe-$(sha256sum <"$root/tests/axe/package-lock.json" | cut -c1-16)
if [[ ! -e $axe/complete ]]; then
    need npm:npm
    say "installing axe-core into $axe"
    rm -rf -- "$axe"
    mkdir -p -- "$axe"
    cp -- "$root/tests/axe/package.json" "$root/tests/axe/package-lock.json" "$axe"
    npm ci --prefix "$axe" --silent --ignore-scripts --no-audit --no-fund ||
        die "could not install axe-core: it is not in $cache and the registry is out of reach"
    touch "$axe/complete"
fi
export QUORATE_AXE=$axe/node_modules/axe-core/axe.min.js
