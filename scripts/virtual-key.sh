# shellcheck shell=bash disable=SC2154
# A security key in software that tests talk to: tests/virtual-key, outside the workspace. Sourced after need.sh.

need "${need_virtual_key[@]}"

# virtual_key COMMAND [ARGUMENT…]: cargo in its place. libclang alone has no headers of a compiler's own; gcc's do as well.
virtual_key() {
    BINDGEN_EXTRA_CLANG_ARGS="-I$(cc -print-file-name=include)" \
        cargo "$1" --locked --manifest-path tests/virtual-key/Cargo.toml "${@:2}"
}
