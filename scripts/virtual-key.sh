# shellcheck shell=bash disable=SC2154
# A security key in software that tests talk to: tests/virtual-key, outside the workspace. Sourced after need.sh; sets
# QUORATE_VIRTUAL_KEY.

need "${need_virtual_key[@]}"
# libclang alone has no headers of the compiler's own; gcc's do as well.
BINDGEN_EXTRA_CLANG_ARGS="-I$(cc -print-file-name=include)" cargo build --quiet --locked --manifest-path tests/virtual-key/Cargo.toml
export QUORATE_VIRTUAL_KEY=$CARGO_TARGET_DIR/debug/quorate-virtual-key
