#!/usr/bin/env bash
# Damaged input for every parser: first a bounded number of damages to good input, then libFuzzer, SECONDS_EACH (20) for each
# target. Both on stable Rust: coverage feedback needs only a compiler flag, and the address sanitizer, which would need nightly,
# has little to find in code that denies `unsafe`. Arguments name targets; without them, all.
set -euo pipefail
here=$(dirname -- "${BASH_SOURCE[0]}")
# shellcheck source=scripts/env.sh
source "$here/env.sh"
# shellcheck source=scripts/need.sh
source "$here/need.sh"
# shellcheck source=scripts/cargo-tool.sh
source "$here/cargo-tool.sh"

need "${need_build[@]}"
say "damaged input, without feedback"
QUORATE_FUZZ_CASES=${QUORATE_FUZZ_CASES:-20000} cargo test --locked --manifest-path fuzz/Cargo.toml --test damage -- --nocapture

need "${need_fuzz[@]}"
cargo_tool cargo-fuzz 0.13.2
cargo run --quiet --locked --manifest-path fuzz/Cargo.toml --example write_seeds -- fuzz/corpus
# libFuzzer's flags must not reach the artefacts of other builds.
unset CARGO_TARGET_DIR
targets=("$@")
if (($# == 0)); then
    mapfile -t targets < <(cd fuzz/fuzz_targets && printf '%s\n' *.rs | sed 's/\.rs$//')
fi
"$tool" build --sanitizer none --features libfuzzer
for target in "${targets[@]}"; do
    say "libFuzzer: $target, ${SECONDS_EACH:-20} s"
    "$tool" run --sanitizer none --features libfuzzer "$target" -- \
        -max_total_time="${SECONDS_EACH:-20}" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1
done
