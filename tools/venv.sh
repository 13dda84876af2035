# Sourced by ./svs-sim and ./run-tests: makes the virtual environment if there is none, or if setup.cfg is newer.
#
# SVS_VENV is where it lives (default: .venv beside this project); PYTHON is the interpreter to make it with.

venv=${SVS_VENV:-$top/.venv}

find_python() {
    for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    echo "svs-sim: error: Python 3.11 or newer is needed; name one with PYTHON=/path/to/python3" >&2
    exit 2
}

# need_venv EXTRAS: install the project in place with these extras ("" for none), once.
need_venv() {
    stamp=$venv/.installed${1:+-$1}
    if [ -n "$(find "$stamp" -newer "$top/setup.cfg" 2>/dev/null)" ]; then
        return
    fi
    python=$(find_python) || exit 2
    echo "svs-sim: making the virtual environment $venv (once; takes a minute)" >&2
    # Asked of pip, not of the file: without ensurepip, venv leaves an interpreter behind when it fails.
    "$venv/bin/python" -m pip --version >/dev/null 2>&1 || "$python" -m venv "$venv" >&2 || {
        echo "svs-sim: error: '$python -m venv $venv' failed (see above); on Debian install python3-venv" >&2
        exit 2
    }
    # Most of what is installed is never imported: to compile it now would take a third of the time and more.
    compile=--no-compile
    [ -z "${PYTHONDONTWRITEBYTECODE:-}" ] || compile=--compile
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check $compile --editable "$top${1:+[$1]}" >&2 || {
        echo "svs-sim: error: pip could not install what is needed (see above)" >&2
        exit 2
    }
    touch "$stamp"
}
