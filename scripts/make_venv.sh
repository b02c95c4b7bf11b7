#!/usr/bin/env bash
# Makes the virtual environment and installs everything that the book and the tests need.
# Usage: scripts/make_venv.sh VENV
set -euo pipefail
venv="$1"
export PIP_DISABLE_PIP_VERSION_CHECK=1

pick_python() {
    for name in "${PYTHON:-}" python3 python3.13 python3.12 python3.11; do
        [ -n "$name" ] && command -v "$name" >/dev/null || continue
        "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue
        command -v "$name"
        return
    done
    echo "memlib needs Python 3.11 or newer, and none was found. Install it, or name it: make PYTHON=/path/to/python3" >&2
    return 1
}

# Debian and Ubuntu keep venv's ensurepip in a package of its own.
make_venv() {
    local python="$1" package
    "$python" -m venv "$venv" 2>/dev/null && return
    rm -rf "$venv"
    package="$("$python" -c 'import sys; print("python3.%d-venv" % sys.version_info[1])')"
    echo "'$python -m venv' failed: it needs the package $package."
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "Installing it ..."
        apt-get -qq update
        DEBIAN_FRONTEND=noninteractive apt-get -qq install -y "$package" >/dev/null ||
            DEBIAN_FRONTEND=noninteractive apt-get -qq install -y python3-venv >/dev/null
        "$python" -m venv "$venv"
    else
        echo "Install it (sudo apt-get install $package) and run make again." >&2
        return 1
    fi
}

# The network may drop a connection: three tries.
pip_install() {
    for try in 1 2 3; do
        "$venv/bin/python" -m pip install --quiet --retries 5 --timeout 60 "$@" && return
        echo "pip install failed (try $try of 3)." >&2
        sleep $((try * 5))
    done
    return 1
}

# Complete means that its pip answers. What was cut off is made again; what is no venv stays.
if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    if [ -f "$venv/pyvenv.cfg" ]; then
        echo "$venv was cut off or is broken: making it again."
        rm -rf "$venv"
    elif [ -e "$venv" ] && ! rmdir "$venv" 2>/dev/null; then
        echo "$venv exists and is no virtual environment. Move it away, or name another folder: make VENV=FOLDER" >&2
        exit 1
    fi
    make_venv "$(pick_python)"
fi
echo "Installing the packages of requirements.txt into $venv (the first time: some minutes, 6 GB) ..."
pip_install -r requirements.txt
pip_install --no-deps --no-build-isolation -e .
