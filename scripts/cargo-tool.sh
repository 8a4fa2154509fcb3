# shellcheck shell=bash disable=SC2154
# Tools from crates.io, built once into the cache folder and kept across clones. Sourced after need.sh.

# cargo_tool NAME VERSION: sets `tool` to the program, building it when it is not there.
# Built without optimisation: these run for seconds, but would compile for many minutes otherwise.
cargo_tool() {
    local name=$1 version=$2
    local home=$cache/tools/$name-$version
    tool=$home/bin/$name
    [[ -x $tool ]] && return
    tool=$(command -v "$name") && "$tool" --version | grep -qwF -- "$version" && return
    tool=$home/bin/$name
    say "building $name $version into $home (once)"
    local build
    build=$(mktemp -d)
    local status=0
    CARGO_TARGET_DIR=$build cargo install --quiet --locked --debug --root "$home" --version "=$version" "$name" || status=$?
    rm -rf -- "$build"
    ((status == 0)) || die "could not build $name $version: it is not in $cache and the registry is out of reach"
}
