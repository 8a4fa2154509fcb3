#!/bin/busybox sh
# shellcheck shell=dash
# The first and only program of the guest: it runs the commands in /session, one a line, and says on the console what each of them
# prints. Nobody types: what somebody does with a key is a command, too. Ends with the machine.

/bin/busybox --install -s /bin
export PATH=/bin:/usr/bin
mkdir -p /proc /sys /dev /run /tmp /root
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs run /run
mount -t tmpfs tmp /tmp
while read -r module; do insmod "/modules/$module"; done </modules/order
ip link set lo up

# What the sessions use.
export HOME=/run/olga XDG_RUNTIME_DIR=/run QUORATE_FIDO_PIN_COMMAND='echo 260571'
# Hard to guess is not what passwords have to be here.
export QUORATE_URL=http://localhost:8080 QUORATE_PASSWORDS_MEMORY_KIB=64 QUORATE_PASSWORDS_PASSES=1
# shellcheck disable=SC2034  # sessions use it
at="--api-key /run/app.key --oracle $QUORATE_URL --yes"
cd /run || exit

# Starts the oracle; returns once it serves.
serve() {
    quorate-oracle serve --state /run/oracle >/run/oracle.log 2>&1 &
    wait_for grep -q '^listening on' /run/oracle.log
    cat /run/oracle.log
}

# hand KEY DEED: does something with a key, as quorate-uhid-key knows it. KEY is its owner's name; those called u2f and strict are that.
hand() {
    key=$1
    shift
    if [ ! -p "/run/$key.in" ]; then
        case $key in u2f | strict) kind=$key ;; *) kind=ctap2 ;; esac
        mkfifo "/run/$key.in" "/run/$key.out"
        quorate-uhid-key "$kind" "/run/$key.store" <>"/run/$key.in" 1<>"/run/$key.out" 2>/dev/console &
    fi
    keys=$(devices)
    echo "$*" >"/run/$key.in"
    read -r done_ <"/run/$key.out"
    [ "$done_" = "$*" ] || return 1
    # The kernel takes its time to make the device.
    if [ "$done_" = insert ]; then wait_for other_devices "$keys"; fi
}

devices() {
    ls /dev/hidraw* 2>/dev/null
}

other_devices() {
    [ "$(devices)" != "$1" ]
}

# Returns once udev's rules have had their say about a key.
ruled() {
    wait_for token "$1"
}

token() {
    udevadm info --query=property "$1" | grep -q '^ID_FIDO_TOKEN='
}

# wait_for COMMAND…: until it succeeds, for a minute of the guest's.
wait_for() {
    tries=600
    until "$@" 2>/dev/null; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || return 1
        sleep 0.1
    done
}

# The newest value behind a word at the start of a line on stdout.
newest() {
    sed -n "s/^$1  *//p" /run/printed | tail -n 1
}

# The newest link to enrol with.
link() {
    grep -o 'http://[^ ]*/enroll/[^ ]*' /run/printed | tail -n 1
}

number=0
while IFS= read -r command <&9; do
    number=$((number + 1))
    echo "@ begins $number"
    eval "$command" >/run/stdout 2>/run/stderr </dev/null 9<&-
    code=$?
    cat /run/stdout /run/stderr >>/run/printed
    sed 's/^/| /' /run/stdout /run/stderr
    echo "@ ends $number $code"
done 9</session
echo "@ over"
poweroff -f
