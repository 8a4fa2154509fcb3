#!/usr/bin/env bash
# The approving page's bundle: approve.sh [FOLDER] makes it (default target/approve), the same bytes on every machine;
# approve.sh compare URL looks whether what is served there is what this clone makes. Needs neither Rust nor a network.
set -euo pipefail
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)
export LC_ALL=C

say() { printf '== %s\n' "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# Subresource integrity of standard input, with hash $1.
integrity() {
    local bytes
    bytes=$("${1}sum" | cut -d ' ' -f 1 | sed 's/../\\x&/g')
    printf '%s-%s' "$1" "$(printf '%b' "$bytes" | base64 -w 0)"
}

# The import map: where the names that modules import are, and what every module has to be.
import_map() {
    local module names='"age-encryption":"./vendor/age-encryption/dist/index.js","@scure/base":"./vendor/@scure/base/index.js"' sums=
    for module in ciphers curves hashes post-quantum; do
        names+=",\"@noble/$module/\":\"./vendor/@noble/$module/\""
    done
    while IFS= read -r module; do
        sums+=",\"$module\":\"$(integrity sha384 <"$module")\""
    done < <(find . -name '*.js' | sort)
    printf '{"imports":{%s},"integrity":{%s}}' "$names" "${sums#,}"
}

bundle() {
    local folder=$1 page map sums
    if [[ -e $folder && ! -e $folder/SHA256SUMS && -n $(ls -A -- "$folder") ]]; then
        die "$folder holds something else: name a new folder"
    fi
    rm -rf -- "$folder"
    mkdir -p -- "$folder"
    cp -- "$root"/approve/*.js "$root/approve/approve.css" "$root/oracle/src/web/style.css" "$root/oracle/src/web/icon.svg" "$folder"
    # Some hosts of static pages leave folders of the name node_modules out.
    cp -r -- "$root/approve/vendor/node_modules" "$folder/vendor"
    cd -- "$folder"
    map=$(import_map)
    page=$(cat -- "$root/approve/index.html"; printf .)
    page=${page%.}
    page=${page//@IMPORT_MAP@/"$map"}
    page=${page//@IMPORT_MAP_HASH@/"$(printf '%s' "$map" | integrity sha256)"}
    for file in style.css approve.css approve.js; do
        page=${page//"@INTEGRITY $file@"/"$(integrity sha384 <"$file")"}
    done
    printf '%s' "$page" >index.html
    sums=$(find . -type f | sort | sed 's#^\./##' | while IFS= read -r file; do sha256sum -- "$file"; done)
    printf '%s\n' "$sums" >SHA256SUMS
    find . -type d -exec chmod 755 {} + -o -type f -exec chmod 644 {} +
    cd -- "$root"
}

# What names the whole bundle.
name_of() { sha256sum <"$1/SHA256SUMS" | cut -d ' ' -f 1; }

compare() {
    local url=${1%/} here sum file served
    [[ $url == https://* ]] || die "the page's address begins with https://"
    here=$(mktemp -d)
    # shellcheck disable=SC2064  # the folder of now
    trap "rm -rf -- '$here'" EXIT
    bundle "$here/approve"
    while read -r sum file; do
        served=$(curl -fsS --proto =https -- "$url/$file" | sha256sum | cut -d ' ' -f 1) || die "$url/$file cannot be read"
        [[ $served == "$sum" ]] || die "$url/$file is not what this clone makes: do not use that page"
    done <"$here/approve/SHA256SUMS"
    [[ $(curl -fsS --proto =https -- "$url/" | sha256sum) == "$(sha256sum <"$here/approve/index.html")" ]] ||
        die "$url/ is not what this clone makes: do not use that page"
    say "$url serves what this clone makes"
    name_of "$here/approve"
}

case ${1:-} in
    compare) compare "${2:?approve.sh compare URL}" ;;
    *)
        folder=$(realpath -m -- "${1:-$root/target/approve}")
        bundle "$folder"
        say "the approving page is in $folder; its hash, to be published:"
        name_of "$folder"
        ;;
esac
