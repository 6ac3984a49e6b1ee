#!/usr/bin/env bash
# The programs of a Kubernetes control plane, etcd and both Helms, for the operator's tests: builds
# what is missing from the Go modules in kubelab/tools and prints the folder. The first time takes
# some ten minutes of two cores; after that nothing is built until a version changes.
#
# Exit code 3: there is no Go that could build them, and this is not CI.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
tools=$root/kubelab/tools
modules=(etcd kubernetes helm3 helm4)
say() { echo "kube-tools: $*" >&2; }

# Go fetches the version that a module wants by itself, where it may.
go_versions=
for module in "${modules[@]}"; do
  if ! go_version=$(cd "$tools/$module" && go env GOVERSION 2>&1); then
    wanted=$(sed -n 's/^go //p' "$tools/$module/go.mod")
    say "Go $wanted or newer is needed to build Kubernetes for the tests: https://go.dev/dl"
    say "(or run with GOTOOLCHAIN=auto on Go 1.21 or newer). It said: $go_version"
    if [ -n "${CI:-}" ]; then
      say "ERROR: this is CI, where these tests are never skipped."
      exit 1
    fi
    exit 3
  fi
  go_versions+=" $go_version"
done

assets=${KUBEBUILDER_ASSETS:-}
for tool in kube-apiserver kube-controller-manager etcd kubectl; do
  [ -n "$assets" ] && [ -x "$assets/$tool" ] || assets=
done

cache=${CHAT_KUBE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/chat-kubelab}
hash=$({
  for module in "${modules[@]}"; do cat "$tools/$module/go.mod" "$tools/$module/go.sum"; done
  # How they are built is written here.
  cat "$0"
  echo "$go_versions $(uname -m) $assets"
} | sha256sum | cut -c 1-16)
folder=$cache/$hash
mkdir -p "$folder"
# The age of a folder is that of its last use.
touch "$folder"

# Of two runs at once the second waits for the first, and then finds everything there.
exec 9>"$cache/lock"
if ! flock -n 9; then
  say "waiting for another run"
  flock 9
fi

# version MODULE PATH: the version of a dependency, as its go.mod has it.
version() {
  sed -nE "s|^\s*$2 (v[^ ]+).*|\1|p" "$tools/$1/go.mod" | head -n 1
}

# build MODULE LDFLAGS NAME=BUILT…: the tools of a module, each under the name it has here.
build() {
  local module=$1 ldflags=$2 pair missing=
  shift 2
  for pair in "$@"; do [ -x "$folder/${pair%%=*}" ] || missing=1; done
  [ -n "$missing" ] || return 0
  say "building $module"
  # Beside the result, so that a rename is all it takes.
  local new
  new=$(mktemp -d "$cache/new.XXXXXX")
  (cd "$tools/$module" && CGO_ENABLED=0 nice -n 10 \
    go build -mod=readonly -trimpath -ldflags="-s -w $ldflags" -o "$new/" tool) >&2
  for pair in "$@"; do mv -f "$new/${pair#*=}" "$folder/${pair%%=*}"; done
  rm -rf "$new"
}

if [ -n "$assets" ]; then
  for tool in kube-apiserver kube-controller-manager etcd kubectl; do
    ln -sfn "$assets/$tool" "$folder/$tool"
  done
else
  build etcd "" etcd=server
  # Without it they call themselves v0.0.0-master, and charts that want a version refuse them.
  kubernetes=$(version kubernetes k8s.io/kubernetes)
  minor=${kubernetes#v1.}
  of=k8s.io/component-base/version
  build kubernetes "-X $of.gitVersion=$kubernetes -X $of.gitMajor=1 -X $of.gitMinor=${minor%%.*}" \
    kube-apiserver=kube-apiserver kube-controller-manager=kube-controller-manager kubectl=kubectl
fi
for major in 3 4; do
  of=helm.sh/helm/v$major/internal/version
  build helm$major "-X $of.version=$(version helm$major helm.sh/helm/v$major)" helm$major=helm
done

# What an interrupted run left, and folders of versions that nobody has asked for in a month.
find "$cache" -mindepth 1 -maxdepth 1 -type d -name 'new.*' -exec rm -rf {} +
find "$cache" -mindepth 1 -maxdepth 1 -type d ! -path "$folder" -mtime +30 -exec rm -rf {} +
echo "$folder"
