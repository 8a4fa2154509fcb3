# shellcheck shell=bash disable=SC2154
# Python programs that tests talk to, pinned in tests/requirements.txt, in a virtual environment outside the clone. Sourced
# after need.sh; sets QUORATE_PYTHON. The folder carries the hash of what is in it, so a change of pins makes a new one.

if [[ -e $root/tests/requirements.txt ]]; then
    need python3:python3
    if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
        need /usr/share/doc/python3-venv:python3-venv
    fi
    venv=$cache/venv-$({ python3 --version; cat "$root/tests/requirements.txt"; } | sha256sum | cut -c1-16)
    if [[ ! -e $venv/complete ]]; then
        say "making the virtual environment $venv"
        rm -rf -- "$venv"
        python3 -m venv "$venv"
        "$venv/bin/pip" install --quiet --require-hashes -r "$root/tests/requirements.txt"
        touch "$venv/complete"
    fi
    export QUORATE_PYTHON=$venv/bin/python
fi
