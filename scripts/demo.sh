#!/usr/bin/env bash
# The main job, shown: an oracle, three players with soft tokens, one code by quorum, a refused forgery, a lost key.
# Everything happens in a temporary folder and on loopback; nothing is left behind.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
bin=${CARGO_TARGET_DIR:-$PWD/target}/debug

# One stream, so that what is said stands where it happened.
exec 2>&1
work=$(mktemp -d "${TMPDIR:-/tmp}/quorate-demo.XXXXXX")
oracle_pid=
ask_pid=
# Seconds that anything may take before the demo gives up, on a slow machine too.
limit=${QUORATE_DEMO_LIMIT:-60}
cleanup() {
    local pid
    for pid in $ask_pid $oracle_pid; do
        # An oracle that does not want to end must not keep the demo from ending.
        kill "$pid" 2>/dev/null || continue
        timeout 10 tail --pid="$pid" -f /dev/null || kill -KILL "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    rm -rf -- "$work"
}
trap cleanup EXIT
cd -- "$work"

# A soft token asks for a PIN and a touch like a real one; here a program answers both.
printf '#!/bin/sh\necho 482913\n' >pin && printf '#!/bin/sh\necho 71930264\n' >puk && chmod 700 pin puk
export QUORATE_PIN_COMMAND=$work/pin QUORATE_PUK_COMMAND=$work/puk QUORATE_SOFT_TOUCH=yes

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
# as NAME ARGUMENTS…: quorate as that person, with a home of their own; the command is shown.
as() {
    local name=$1 word line='quorate'
    shift
    for word in "$@"; do
        case $word in
            http*/s/*) word="'\$INVITE'" ;;
            *=age1*) word=${word%%=*}=age1…${word: -6} ;;
            *' '*) word="'$word'" ;;
        esac
        line+=" $word"
    done
    printf '%s$ %s\n' "$name" "$line" >&2
    quietly_as "$name" "$@"
}
quietly_as() {
    local name=$1
    shift
    local command=(env XDG_CONFIG_HOME="$work/$name" XDG_DATA_HOME="$work/$name" XDG_RUNTIME_DIR="$work/$name"
        timeout "$limit" "$bin/quorate" "$@")
    # In the background the process id that is kept must be that of the program, or ending it would leave the program behind.
    ((BASHPID == $$)) || exec "${command[@]}"
    "${command[@]}"
}
# What went wrong, and what every program that ran unseen has said.
give_up() {
    local file
    printf 'demo: %s\n' "$1" >&2
    for file in oracle.log *.out *.err; do
        [[ -s $file ]] || continue
        printf -- '-- %s\n' "$file" >&2
        cat -- "$file" >&2
    done
    exit 1
}
# Until FILE has a line with TEXT, for LIMIT seconds at most.
await() {
    local deadline=$((SECONDS + limit))
    until grep -qs -- "$2" "$1"; do
        ((SECONDS < deadline)) || give_up "nothing about \"$2\" in $1 within $limit s"
        sleep 0.05
    done
}
# Until the request that was started last has ended, well.
await_ask() {
    local status=0
    wait "$ask_pid" || status=$?
    ask_pid=
    case $status in
        0) ;;
        124) give_up "who asks was still waiting after $limit s" ;;
        *) give_up "who asks ended with $status" ;;
    esac
}

say 'An oracle, on SQLite'
"$bin/quorate-oracle" serve --state "$work/oracle" --listen 127.0.0.1:0 2>oracle.log &
oracle_pid=$!
await oracle.log 'listening on'
url=$(sed -n 's/^listening on //p' oracle.log)
fingerprint=$(curl -fsS --max-time "$limit" "$url/.well-known/quorate" | jq -r .fingerprint)
echo "$url, root key $fingerprint"

say 'Players with a key each, and a spare colleague (soft tokens here; YubiKeys in earnest)'
declare -A recipient
for name in ann ben cho dee; do
    mkdir -p -- "$name/quorate/identities"
    quietly_as "$name" key generate --soft "$name/quorate/identities/token" --label "$name" --json 2>/dev/null >key.json
    recipient[$name]=$(jq -r '.recipients[0]' key.json)
    quietly_as "$name" oracle trust "$url" --fingerprint "$fingerprint" >/dev/null 2>&1
    echo "$name  ${recipient[$name]}"
done

say 'The dealer splits the secret of an account: any two of three'
secret=$(head -c 20 /dev/urandom | base32)
printf 'otpauth://totp/Cloud:root?secret=%s&issuer=Cloud' "$secret" >uri
mkdir dealer && cp -r ann/quorate dealer/quorate
as dealer deal -p "ann=${recipient[ann]}" -p "ben=${recipient[ben]}" -p "cho=${recipient[cho]}" -t 2 \
    --oracle "$url" --note 'cloud root account' -o tocs - <uri
for name in ann ben cho; do
    quietly_as "$name" toc add "tocs/$name.toc.age" >/dev/null 2>&1
done

say 'Ann needs a code and says why; Ben sees who asks, touches his key, and the code appears'
# Every request has files of its own: in one that is used again, the invite of the last request may still be found.
as ann ask tocs/ann.toc.age --reason 'rotate the billing alarm' >ask.out 2>ask.err &
ask_pid=$!
await ask.out '/s/'
invite=$(grep -m1 -o 'http[^ ]*' ask.out)
as ben join --yes "$invite"
await_ask
cat ask.err
code=$(tail -n1 ask.out)
expected=$(oathtool --totp -b "$secret")
echo "code      $code"
echo "oathtool  $expected"
if [[ $code != "$expected" ]]; then
    # The step may have turned between the two.
    [[ $code == "$(oathtool --totp -b "$secret" --now '-30 seconds')" ]] || { echo 'demo: the codes differ' >&2; exit 1; }
fi

say 'A forger swaps the key in the invite for his own: refused before the touch'
as ann ask tocs/ann.toc.age --reason 'check the invoices' --no-wait >forged.out 2>/dev/null
genuine=$(grep -m1 -o 'http[^ ]*' forged.out)
fragment=${genuine#*#}
payload=${fragment%.*}
# base64 wants its padding back.
pad() { printf '%s%s' "$1" "$(printf '%*s' $(((4 - ${#1} % 4) % 4)) '' | tr ' ' '=')"; }
tek=$(age-keygen 2>/dev/null | sed -n 's/^# public key: //p')
swapped=$(pad "$payload" | basenc --base64url -d | sed "s/age1[a-z0-9]*/$tek/" | basenc --base64url -w0 | tr -d '=')
if as cho join --yes "${genuine%%#*}#$swapped.${fragment##*.}"; then
    echo 'demo: a forged invite was accepted' >&2
    exit 1
fi

say 'Cho loses her key; Ann and Ben deal anew, with Dee in her place'
cat >plan.toml <<END
threshold = 2
[[player]]
name = "ann"
recipients = ["${recipient[ann]}"]
[[player]]
name = "ben"
recipients = ["${recipient[ben]}"]
[[player]]
name = "dee"
recipients = ["${recipient[dee]}"]
END
as ann ask tocs/ann.toc.age --reason 'Cho lost her key' --redeal -P plan.toml >redeal.out 2>redeal.err &
ask_pid=$!
await redeal.out '/s/'
invite=$(grep -m1 -o 'http[^ ]*' redeal.out)
as ben join --yes "$invite"
await_ask
cat redeal.err
for name in dee ben; do
    as "$name" session fetch "$invite"
done

say 'The old Tocs are refused from now on; Dee and Ben make a code with the new ones'
if as ann ask tocs/ann.toc.age --reason 'with the old Toc' --no-wait; then
    echo 'demo: the old group still works' >&2
    exit 1
fi
group=$(quietly_as dee toc list --json | jq -r '.group' | tail -n1)
as dee ask "$group" --reason 'first day' >new.out 2>new.err &
ask_pid=$!
await new.out '/s/'
invite=$(grep -m1 -o 'http[^ ]*' new.out)
as ben join --yes "$invite"
await_ask
code=$(tail -n1 new.out)
expected=$(oathtool --totp -b "$secret")
echo "code      $code"
echo "oathtool  $expected"
[[ $code == "$expected" || $code == "$(oathtool --totp -b "$secret" --now '-30 seconds')" ]]
say 'Done: one code by quorum, one forgery refused, one lost key replaced'
