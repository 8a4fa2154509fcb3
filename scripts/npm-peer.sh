# shellcheck shell=bash disable=SC2154
# Packages of npm, pinned with the hash of what npm serves, in a folder outside the clone that carries the hash of the pins. Sourced
# after need.sh.

# npm_peer NAME FOLDER: what FOLDER pins; sets `npm_peer`.
npm_peer() {
    npm_peer=$cache/$1-$(sha256sum <"$2/package-lock.json" | cut -c1-16)
    [[ ! -e $npm_peer/complete ]] || return 0
    need npm:npm
    say "installing $1 into $npm_peer"
    rm -rf -- "$npm_peer"
    mkdir -p -- "$npm_peer"
    cp -- "$2/package.json" "$2/package-lock.json" "$npm_peer"
    npm ci --prefix "$npm_peer" --silent --ignore-scripts --no-audit --no-fund ||
        die "could not install $1: it is not in $cache and the registry is out of reach"
    touch "$npm_peer/complete"
}
