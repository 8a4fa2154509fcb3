# shellcheck shell=bash disable=SC2154
# The packages that the approving page has copies of, as npm has them. Sourced after need.sh; sets QUORATE_APPROVE_PACKAGES to the
# folder with which a test compares the copies.

# shellcheck source=scripts/npm-peer.sh
source "$here/npm-peer.sh"
npm_peer approve "$root/approve/vendor"
export QUORATE_APPROVE_PACKAGES=$npm_peer
