#!/usr/bin/env bash
# Looks at the charts with both Helms: what they render for every example in charts/*/ci, as parts of
# another chart, what they refuse, and that no second place has come to disagree with the first.
#   scripts/charts.sh            compares
#   scripts/charts.sh --golden   writes charts/*/ci/golden anew
#   scripts/charts.sh --docs     writes the charts' README.md and values.schema.json anew
# Helm is $HELM3 and $HELM4, or what scripts/kube-tools.sh has built.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ -z "${HELM3:-}" ] || [ -z "${HELM4:-}" ]; then
  tools=$(scripts/kube-tools.sh) || {
    # 3: nothing here can build them, and this is not CI.
    [ $? = 3 ] || exit 1
    echo "charts: NOT looked at, because there is no Helm; name one of each in HELM3 and HELM4" >&2
    exit 0
  }
  HELM3=${HELM3:-$tools/helm3} HELM4=${HELM4:-$tools/helm4}
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The definition as JSON, which Python reads.
definition=charts/chat-operator/files/crds/chatclusters.yaml
mkdir -p "$work/json/templates"
printf 'apiVersion: v2\nname: json\nversion: 0.0.0\n' >"$work/json/Chart.yaml"
cp "$definition" "$work/json/definition.yaml"
echo '{{ .Files.Get "definition.yaml" | fromYaml | toJson }}' >"$work/json/templates/definition.yaml"
"$HELM4" template json "$work/json" | grep '^{' >"$work/definition.json"
if [ "${1:-}" = --docs ]; then
  scripts/chart-docs.py "$work/definition.json"
  exit
fi
golden=
[ "${1:-}" = --golden ] && golden=write
failures=0

fail() {
  echo "FAILED: $*" >&2
  failures=$((failures + 1))
}

# A Helm that was built from its module does not know which Kubernetes it was made for. One version
# leaves an empty line behind each object, the other does not.
render() {
  "$1" template chat "$2" --namespace talk --kube-version v1.35.0 "${@:3}" |
    awk '/^$/ { empty++; next } !/^---/ { while (empty > 0) { print ""; empty-- } } { empty = 0; print }'
}

# The definition and the dashboards are looked at below; here they would be most of the text.
render_example() {
  local without=dashboards.enabled
  [ "$(basename "$2")" = chat-operator ] && without=crds.install
  render "$1" "$2" -f "$3" --set "$without=false"
}

for helm in "$HELM4" "$HELM3"; do
  name=$("$helm" version --template '{{.Version}}')
  for chart in charts/*/; do
    chart=${chart%/}
    for values in "$chart"/ci/*.yaml; do
      what="$chart with $(basename "$values") by Helm $name"
      "$helm" lint --strict --kube-version v1.35.0 "$chart" -f "$values" >"$work/lint" 2>&1 ||
        fail "lint of $what: $(cat "$work/lint")"
      if ! render_example "$helm" "$chart" "$values" >"$work/rendered" 2>"$work/error"; then
        fail "$what: $(cat "$work/error")"
        continue
      fi
      if grep -qx 'kind: Secret' "$work/rendered"; then
        fail "$what makes a Secret"
      fi
      if grep -q '<no value>\|%!' "$work/rendered"; then
        fail "$what: a template printed what is not there: $(grep -m1 '<no value>\|%!' "$work/rendered")"
      fi
      expected=$chart/ci/golden/$(basename "$values")
      if [ "$golden" = write ] && [ "$helm" = "$HELM4" ]; then
        mkdir -p "$chart/ci/golden"
        cp "$work/rendered" "$expected"
      elif ! diff -u "$expected" "$work/rendered" >"$work/diff" 2>&1; then
        fail "$what is not what it was; if it should be, run \`make charts-golden\`:"
        head -40 "$work/diff" >&2
      fi
    done

    while IFS= read -r line; do
      [[ -z $line || $line = \#* ]] && continue
      values=${line%% => *} message=${line##* => }
      if render "$helm" "$chart" --set "$values" >/dev/null 2>"$work/error"; then
        fail "$chart with $values is not refused by Helm $name"
      elif ! grep -qF -- "$message" "$work/error"; then
        fail "$chart with $values by Helm $name: expected \"$message\", got: $(cat "$work/error")"
      fi
    done <"$chart/ci/refused.txt"

    # As a part of another chart, whose `global` and whose switch it has to bear.
    parent=$work/parent
    rm -rf "$parent"
    mkdir -p "$parent/charts"
    cp -r "$chart" "$parent/charts/part"
    cat >"$parent/Chart.yaml" <<PARENT
apiVersion: v2
name: parent
version: 0.0.0
dependencies: [{name: $(basename "$chart"), version: "*", condition: $(basename "$chart").enabled}]
PARENT
    printf 'global: {imageRegistry: parent.example.org}\n%s:\n' "$(basename "$chart")" >"$parent/values.yaml"
    sed 's/^/  /' "$chart/ci/subchart.yaml" >>"$parent/values.yaml"
    if render "$helm" "$parent" >"$work/rendered" 2>"$work/error"; then
      grep -q 'image: parent.example.org/example/' "$work/rendered" ||
        fail "$chart as a part does not go by the parent's registry (Helm $name)"
      grep -q -- '- name: mirror' "$work/rendered" ||
        fail "$chart as a part does not go by the parent's pull secrets (Helm $name)"
    else
      fail "$chart as a part of another by Helm $name: $(cat "$work/error")"
    fi
    render "$helm" "$parent" --set "$(basename "$chart").enabled=false" >"$work/rendered"
    grep -q '^kind:' "$work/rendered" && fail "$chart as a part cannot be switched off (Helm $name)"
  done

  # The definition: all of it, kept unless somebody says otherwise, gone if somebody says so.
  crd() { render "$helm" charts/chat-operator -s templates/crds.yaml "$@"; }
  crd >"$work/crd"
  grep -qx '    helm.sh/resource-policy: keep' "$work/crd" || fail "the definition is not kept (Helm $name)"
  for word in 'rule:' 'observedGeneration: -1' 'x-kubernetes-preserve-unknown-fields: true'; do
    [ "$(grep -cF -- "$word" "$work/crd")" = "$(grep -cF -- "$word" "$definition")" ] ||
      fail "the chart's definition differs from $definition in \"$word\" (Helm $name)"
  done
  crd --set crds.keep=false >"$work/crd"
  grep -q 'resource-policy' "$work/crd" && fail "the definition is kept with crds.keep=false (Helm $name)"
  render "$helm" charts/chat-operator --set crds.install=false >"$work/rendered"
  grep -q 'kind: CustomResourceDefinition' "$work/rendered" && fail "crds.install=false installs it (Helm $name)"

  for dashboard in charts/chat/files/dashboards/*.json; do
    render "$helm" charts/chat -s templates/dashboards.yaml --set dashboards.enabled=true |
      sed -n "/^  $(basename "$dashboard"): |/,/^  [^ ]/s/^    //p" | diff - "$dashboard" >"$work/diff" ||
      fail "$dashboard is not rendered as it is (Helm $name): $(head -5 "$work/diff")"
  done

  # The operator of a list of namespaces has no right in any other.
  render "$helm" charts/chat-operator --set 'watch.namespaces={team-a,team-b}' >"$work/rendered"
  grep -q '^kind: ClusterRole' "$work/rendered" && fail "watch.namespaces leaves a ClusterRole (Helm $name)"
done

# The group stands in the definition, and once in the other chart.
from_definition() { python3 -c "import json, sys; print(json.load(open(sys.argv[1]))['spec']$1)" "$work/definition.json"; }
group=$(from_definition "['group']") version=$(from_definition "['versions'][0]['name']")
grep -qx "$group/$version" charts/chat/templates/_helpers.tpl ||
  fail "charts/chat/templates/_helpers.tpl does not name $group/$version, as the definition does"
if grep -rnF "$group" charts/*/templates charts/*/values.yaml charts/*/Chart.yaml | grep -v "_helpers.tpl:[0-9]*:$group/$version$"; then
  fail "the group $group stands in these places too"
fi
for chart in charts/*/; do
  "$HELM4" template chat "$chart" --kube-version v1.32.9 >/dev/null 2>&1 &&
    fail "$chart takes a Kubernetes that is older than its kubeVersion"
done

scripts/chart-docs.py "$work/definition.json" --check || fail "the charts' README.md or values.schema.json"
scripts/chart-metrics.py || fail "dashboards or alerts"

[ "$failures" = 0 ] || exit 1
echo "charts: ${golden:+written, }as they should be with Helm 3 and Helm 4"
