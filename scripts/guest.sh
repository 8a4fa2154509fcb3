#!/usr/bin/env bash
# The kernel and the shell of the guest that security keys are tested in: Debian's newest ones, unpacked into a folder outside the clone
# that carries their versions. Installs QEMU. Says where the folder is, which QUORATE_GUEST names for the tests.
set -euo pipefail
here=$(dirname -- "${BASH_SOURCE[0]}")
# shellcheck source=scripts/env.sh
source "$here/env.sh"
# shellcheck source=scripts/need.sh
source "$here/need.sh"

# The programs of QEMU are of one release: where those that are here come from backports, so does this one.
emulator() {
    if dpkg-query -W -f '${Version}\n' qemu-utils qemu-system-common 2>/dev/null | grep -q '~bpo'; then
        need_from=$(apt-cache policy | sed -n 's/.*n=\([a-z]*-backports\),.*/\1/p' | head -n 1)
    fi
    need qemu-system-x86_64:qemu-system-x86
    need_from=
}

# Sets $kernel to the newest kernel's package, as apt knows it, and $guest to the folder that it belongs into.
newest() {
    local made_of
    kernel=$(apt-cache depends linux-image-cloud-amd64 2>/dev/null | sed -n 's/.*Depends: *\(linux-image-[^ ]*\).*/\1/p' | head -n 1)
    made_of=$(cat "$here/guest.sh" && { apt-cache show --no-all-versions "$kernel" busybox-static 2>/dev/null || :; } | grep -E '^(Package|SHA256):')
    guest=$cache/guest-$(sha256sum <<<"$made_of" | cut -c1-16)
}

# unpack PACKAGE: downloads it, and unpacks it into $build/root.
unpack() {
    local as_root=()
    ((EUID != 0)) || as_root=(-o APT::Sandbox::User=root)
    (cd -- "$build" && apt-get -q "${as_root[@]}" download "$1" >&2) || die "could not download $1"
    dpkg -x "$build/$1"_*.deb "$build/root"
}

# module NAME: copies a module, uncompressed, behind those that it needs, and appends it to the order they are loaded in.
module() {
    local pattern=${1//[-_]/[-_]} file name needed
    file=$(find "$build/root" -name "$pattern.ko*" -print -quit)
    if [[ -z $file ]]; then
        # What is built in is no file.
        find "$build/root" -name modules.builtin -exec grep -q "/$pattern\.ko\$" {} + || die "the kernel has no module $1"
        return
    fi
    name=$(basename -- "${file%.ko*}").ko
    if [[ -e $build/base/modules/$name ]]; then
        return
    fi
    case $file in
        *.xz) need xz:xz-utils && xz -dc -- "$file" ;;
        *.zst) need zstd:zstd && zstd -dcq -- "$file" ;;
        *) cat -- "$file" ;;
    esac >"$build/$name"
    for needed in $(tr '\0' '\n' <"$build/$name" | LC_ALL=C sed -n 's/^depends=//p' | tr ',' ' '); do
        module "$needed"
    done
    mv -- "$build/$name" "$build/base/modules/$name"
    echo "$name" >>"$build/base/modules/order"
}

[[ $(dpkg --print-architecture) == amd64 ]] || die "there is a guest on Debian's amd64 alone"
need "${need_guest[@]}"
emulator
newest
if [[ -z $kernel || ! -e $guest/complete ]]; then
    # What older lists name may not be there any more.
    as_root apt-get -q -o DPkg::Lock::Timeout=300 update >&2 || say "apt-get update failed; trying with the lists that are here"
    newest
fi
[[ -n $kernel ]] || die "apt knows no linux-image-cloud-amd64"
if [[ ! -e $guest/complete ]]; then
    say "making $guest with $kernel (once)"
    build=$(mktemp -d)
    trap 'rm -rf -- "$build"' EXIT
    mkdir -p -- "$build/base/bin" "$build/base/modules" "$build/root"
    unpack "$kernel"
    unpack busybox-static
    module uhid
    module hid-generic
    cp -- "$(find "$build/root" -path '*bin/busybox' -print -quit)" "$build/base/bin/"
    rm -rf -- "$guest"
    mkdir -p -- "$guest"
    cp -- "$build"/root/boot/vmlinuz-* "$guest/vmlinuz"
    (cd -- "$build/base" && find . -mindepth 1 | cpio --quiet --create --format=newc --owner=+0:+0) >"$guest/base.cpio"
    touch "$guest/complete"
fi
echo "$guest"
