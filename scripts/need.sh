# shellcheck shell=bash
# Installs Debian packages that are missing, and only those: nothing missing means no apt and no network. Sourced after env.sh.

# shellcheck disable=SC2034  # read by the scripts that source this
{
    # What each ground needs, as PROBE:PACKAGE. A probe with a slash is a file or a pattern of files, else a command.
    need_build=(cc:gcc /usr/include/stdlib.h:libc6-dev /etc/ssl/certs/ca-certificates.crt:ca-certificates
        pkg-config:pkg-config /usr/include/PCSC/winscard.h:libpcsclite-dev
        /usr/include/libudev.h:libudev-dev)
    need_peers=(age:age oathtool:oathtool qrencode:qrencode curl:curl jq:jq node:nodejs unshare:util-linux
        /usr/bin/kill:procps)
    need_browser=(chromium:chromium chromedriver:chromium-driver)
    need_keys=(/usr/sbin/pcscd:pcscd ykman:yubikey-manager)
    need_card=(/usr/sbin/pcscd:pcscd /usr/lib/pcsc/drivers/serial/libifdvpcd.so:vsmartcard-vpcd /sbin/ip:iproute2
        mount:mount opensc-tool:opensc ykman:yubikey-manager yubico-piv-tool:yubico-piv-tool
        /usr/lib/gnupg/scdaemon:scdaemon udevadm:udev /usr/lib/polkit-1/polkitd:polkitd dbus-daemon:dbus-daemon)
    # Debian keeps the server's programs out of the PATH; setpriv runs it as somebody who is not root.
    need_store=('/usr/lib/postgresql/*/bin/initdb:postgresql' setpriv:util-linux)
    need_shell_lint=(shellcheck:shellcheck)
    need_fuzz=(c++:g++)
    need_virtual_key=('/usr/lib/llvm-*/lib/libclang.so*:libclang1')
    # QEMU has a release to be of: scripts/guest.sh.
    need_guest=(cpio:cpio strip:binutils udevadm:udev)
}

# as_root COMMAND…: apt-get has to be root.
as_root() {
    local sudo=()
    ((EUID == 0)) || sudo=(sudo)
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive "$@"
}

# need PROBE:PACKAGE…: $need_from names the release that packages come from, if it matters.
need() {
    local pair probe missing=()
    for pair in "$@"; do
        probe=${pair%%:*}
        if [[ $probe == */* ]]; then compgen -G "$probe" >/dev/null; else command -v "$probe" >/dev/null; fi || missing+=("${pair#*:}")
    done
    ((${#missing[@]})) || return 0
    command -v apt-get >/dev/null || die "missing: ${missing[*]} (Debian's names); install them, then run this again"
    ((EUID == 0)) || command -v sudo >/dev/null || die "missing: ${missing[*]}; as root: apt-get install ${missing[*]}"
    say "installing ${missing[*]}"
    local apt=(as_root apt-get -q -o DPkg::Lock::Timeout=300)
    # Lists that cannot be refreshed may still be good enough, so only the install decides.
    "${apt[@]}" update >&2 || say "apt-get update failed; trying with the lists that are here"
    "${apt[@]}" install -y --no-install-recommends ${need_from:+--target-release="$need_from"} "${missing[@]}" >&2 ||
        die "could not install ${missing[*]}"
    hash -r
}
