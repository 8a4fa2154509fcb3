# shellcheck shell=bash disable=SC2154
# axe-core, pinned in tests/axe. Sourced after need.sh; sets QUORATE_AXE to the script that browser tests run in every page.

# shellcheck source=scripts/npm-peer.sh
source "$here/npm-peer.sh"
npm_peer axe "$root/tests/axe"
export QUORATE_AXE=$npm_peer/node_modules/axe-core/axe.min.js
