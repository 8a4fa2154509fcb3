# shellcheck shell=bash
# What every script of this folder starts from: where things are, and a cargo that runs. Sourced, never run.
# It must not install anything: that is need.sh.

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)
cd -- "$root" || exit 1

say() { printf '== %s\n' "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

account_home=$(getent passwd "$(id -u)" | cut -d: -f6)
export HOME="${HOME:-$account_home}"

# shellcheck disable=SC2034  # read by the scripts that source this
# Tools and virtual environments that outlive a clone. Safe to delete at any time.
cache=${XDG_CACHE_HOME:-$HOME/.cache}/quorate

# rustup puts cargo on the PATH of login shells only, and finds its toolchains through HOME, which may be a fresh one.
for bin in "${CARGO_HOME:-$HOME/.cargo}/bin" "$account_home/.cargo/bin" /usr/local/cargo/bin; do
    if ! command -v cargo >/dev/null && [[ -x $bin/cargo ]]; then
        PATH=$bin:$PATH
    fi
done
if [[ -z ${RUSTUP_HOME:-} && ! -d $HOME/.rustup && -d $account_home/.rustup ]]; then
    export RUSTUP_HOME=$account_home/.rustup
fi
command -v cargo >/dev/null || die "cargo is not here: install Rust 1.89 or newer, then run this again"
rust_version=$(rustc --version | cut -d' ' -f2) || die "rustc does not run: is a toolchain installed? (rustup toolchain list)"
if [[ $(printf '%s\n' 1.89.0 "$rust_version" | sort -V | head -n 1) != 1.89.0 ]]; then
    die "Rust $rust_version is too old: quorate needs 1.89 or newer"
fi

export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$root/target}
# Where the programs of a debug build are; the demo and the tests look here.
export QUORATE_BIN_DIR=$CARGO_TARGET_DIR/debug
