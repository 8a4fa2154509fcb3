#!/usr/bin/env bash
# The approving page's bundle: approve.sh [FOLDER] makes it (default target/approve), the same bytes on every machine;
# approve.sh compare URL looks whether what is served there, and under which headers, is what this clone makes. Needs neither Rust
# nor a network.
set -euo pipefail
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)
export LC_ALL=C
usage='usage: approve.sh [FOLDER]
       approve.sh compare https://HOST'
temporary=
trap '[[ -z $temporary ]] || rm -rf -- "$temporary"' EXIT

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

# Every file here but the list itself, with its hash.
sums() {
    find . -type f ! -path ./SHA256SUMS | sort | sed 's#^\./##' | while IFS= read -r file; do sha256sum -- "$file"; done
}

# Whether folder $1 holds a bundle as it was made, by this release or another, and nothing else.
is_bundle() (
    cd -- "$1" 2>/dev/null || exit 1
    for file in SHA256SUMS index.html approve.js vouch.js; do
        [[ -f $file ]] || exit 1
    done
    [[ -z $(find . ! -type f ! -type d) && $(sums) == "$(<SHA256SUMS)" ]]
)

# Makes the bundle in the empty folder $1.
bundle() {
    local folder=$1 page map
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
    sums >SHA256SUMS
    find . -type d -exec chmod 755 {} + -o -type f -exec chmod 644 {} +
    cd -- "$root"
}

# Makes the bundle beside folder $1, and puts it in its place.
renew() {
    local folder=$1
    mkdir -p -- "$(dirname -- "$folder")"
    temporary=$(mktemp -d -- "$folder.XXXXXX")
    bundle "$temporary"
    if [[ -e $folder && -n $(ls -A -- "$folder" 2>&1) ]] && ! is_bundle "$folder"; then
        die "$folder holds something else than a bundle as it was made: name a new folder"
    fi
    rm -rf -- "$folder"
    mv -T -- "$temporary" "$folder"
    temporary=
}

# What names the whole bundle.
name_of() { sha256sum <"$1/SHA256SUMS" | cut -d ' ' -f 1; }

# A browser's own words, for servers that give others something else. Curl's settings of this user are left out (-q must come first).
agent='Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36'

# Asks for $1 as a browser asks for a $2, into the files body and head of the temporary folder; only status 200 will do.
ask() {
    local address=$1 kind=$2 accept='*/*' mode=no-cors site=same-origin status
    local -a more=()
    case $kind in
        document)
            accept='text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8'
            mode=navigate site=none more=(-H 'Sec-Fetch-User: ?1' -H 'Upgrade-Insecure-Requests: 1')
            ;;
        script) mode=cors ;;
        style) accept='text/css,*/*;q=0.1' ;;
        image) accept='image/avif,image/webp,image/svg+xml,image/*,*/*;q=0.8' ;;
    esac
    status=$(curl -q -sS --proto =https --compressed --max-time 300 -A "$agent" -H "Accept: $accept" -H 'Accept-Language: en-GB,en;q=0.9' \
        -H "Sec-Fetch-Dest: $kind" -H "Sec-Fetch-Mode: $mode" -H "Sec-Fetch-Site: $site" "${more[@]}" \
        -D "$temporary/head" -o "$temporary/body" -w '%{http_code}' -- "$address") || die "$address cannot be read"
    [[ $status == 200 ]] || die "$address is answered with status $status, not 200: do not use that page"
}

# The values of header $1 in the last answer, and in whatever came before it, each on a line.
values() {
    awk -v name="$1" '{ at = index($0, ":"); is = tolower(substr($0, 1, at - 1)); value = substr($0, at + 1) }
        { gsub(/[ \t\r]+$/, "", is); gsub(/^[ \t]+|[ \t\r]+$/, "", value) }
        at && is == tolower(name) { print value }' "$temporary/head"
}

# Looks at the headers of the last answer, which is for $1 and has to be of type $2, or of any where that is empty.
look_at_headers() {
    local address=$1 type=$2 name value served
    # Clear-Site-Data would take the players' keys along.
    [[ $(values Alt-Svc) == @(|clear) ]] ||
        die "$address has a header Alt-Svc, and browsers would keep another place of the page: do not use that page before its operator has turned that off (HTTP/3, or Alt-Svc: clear)"
    for name in Location Refresh Link Service-Worker-Allowed Speculation-Rules Clear-Site-Data; do
        [[ -z $(values "$name") ]] || die "$address has a header $name, which may lead elsewhere: do not use that page"
    done
    while IFS= read -r value; do
        name=${value%%: *}
        [[ $(values "$name") == "${value#*: }" ]] || die "$address has not the header $name as approve/headers.txt has it: do not use that page"
    done <"$root/approve/headers.txt"
    served=$(values Content-Type | tr -d ' ' | tr '[:upper:]' '[:lower:]')
    [[ -z $type || ${served%;charset=utf-8} == "$type" || ${served%;charset=utf-8} == "${type/#text\/java/application/java}" ]] ||
        die "$address is of type $served, not $type: do not use that page"
}

# Looks whether $1/$2 is the file with hash $3.
look_at() {
    local address=$1/$2 kind=empty type=
    case $2 in
        '' | *.html) kind=document type=text/html ;;
        *.js) kind=script type=text/javascript ;;
        *.css) kind=style type=text/css ;;
        *.svg) kind=image type=image/svg+xml ;;
    esac
    ask "$address" "$kind"
    [[ $(sha256sum <"$temporary/body") == "$3  -" ]] || die "$address is not what this clone makes: do not use that page"
    look_at_headers "$address" "$type"
}

compare() {
    local url=${1%/} sum file
    [[ $url == https://* ]] || die "the page's address begins with https://"
    temporary=$(mktemp -d)
    mkdir -- "$temporary/approve"
    bundle "$temporary/approve"
    look_at "$url" '' "$(sha256sum <"$temporary/approve/index.html" | cut -d ' ' -f 1)"
    while read -r sum file; do
        look_at "$url" "$file" "$sum"
    done <"$temporary/approve/SHA256SUMS"
    say "$url serves what this clone makes"
    name_of "$temporary/approve"
}

case ${1:-} in
    -h | --help) printf '%s\n' "$usage" ;;
    -*) die "there is no option $1; $usage" ;;
    compare)
        [[ -n ${2:-} ]] || die "compare with which page? $usage"
        compare "$2"
        ;;
    *)
        folder=$(realpath -m -- "${1:-$root/target/approve}")
        renew "$folder"
        say "the approving page is in $folder; its hash, to be published:"
        name_of "$folder"
        ;;
esac
