#!/usr/bin/env bash
# What the tests need beside Rust, Node, Go and make: a browser, strace, valgrind, PostgreSQL, Redis,
# libfaketime and Python; for the lints pip, for pods network namespaces.
# Installs what is missing with apt where that is possible, and says what to do where it is not.
set -euo pipefail

packages=()
command -v strace >/dev/null || packages+=(strace)
command -v valgrind >/dev/null || packages+=(valgrind)
command -v chromium >/dev/null || packages+=(chromium)
command -v python3 >/dev/null || packages+=(python3)
command -v curl >/dev/null || packages+=(curl)
command -v cc >/dev/null || packages+=(gcc libc6-dev)
command -v redis-server >/dev/null || packages+=(redis-server)
command -v psql >/dev/null || compgen -G "/usr/lib/postgresql/*/bin/initdb" >/dev/null || packages+=(postgresql)
compgen -G "/usr/lib/*/faketime/libfaketimeMT.so.1" >/dev/null || packages+=(libfaketime)
python3 -m pip --version >/dev/null 2>&1 || packages+=(python3-pip)
python3 -c "import ensurepip" 2>/dev/null || packages+=(python3-venv)
command -v ip >/dev/null || packages+=(iproute2)
command -v nsenter >/dev/null && command -v setpriv >/dev/null || packages+=(util-linux)
# Without them screenshots show boxes.
if command -v dpkg >/dev/null; then
  for font in fonts-noto-color-emoji fonts-noto-core; do
    dpkg -s "$font" >/dev/null 2>&1 || packages+=("$font")
  done
fi
[ ${#packages[@]} -eq 0 ] && exit 0

if ! command -v apt-get >/dev/null; then
  echo "The tests need: ${packages[*]}. Please install them." >&2
  exit 1
fi
sudo=()
[ "$(id -u)" -eq 0 ] || sudo=(sudo)
echo "Installing ${packages[*]}"
"${sudo[@]}" apt-get update -q
DEBIAN_FRONTEND=noninteractive "${sudo[@]}" apt-get install -y -q --no-install-recommends "${packages[@]}"
