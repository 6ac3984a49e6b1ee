{{/* The definition of ChatCluster. Group, names and version are read from it and stand nowhere else. */}}
{{- define "chat-operator.crd" -}}
{{ .Files.Get "files/crds/chatclusters.yaml" }}
{{- end }}

{{- define "chat-operator.group" -}}
{{ (include "chat-operator.crd" . | fromYaml).spec.group }}
{{- end }}

{{- define "chat-operator.plural" -}}
{{ (include "chat-operator.crd" . | fromYaml).spec.names.plural }}
{{- end }}

{{- define "chat-operator.name" -}}
{{ default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" }}
{{- end }}

{{/* Of everything. Forty characters leave room for what is put behind it. */}}
{{- define "chat-operator.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{ .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else -}}
{{- $name := include "chat-operator.name" . -}}
{{- $release := .Release.Name | replace "." "-" -}}
{{ ternary $release (printf "%s-%s" $release $name) (contains $name $release) | trunc 40 | trimSuffix "-" }}
{{- end -}}
{{- end }}

{{- define "chat-operator.selector" -}}
app.kubernetes.io/name: {{ include "chat-operator.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "chat-operator.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "chat-operator.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/component: operator
app.kubernetes.io/part-of: chat
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "chat-operator.image" -}}
{{- $image := .Values.image -}}
{{- $registry := (.Values.global).imageRegistry | default $image.registry -}}
{{- with $registry }}{{ . }}/{{ end }}{{ $image.repository }}
{{- if $image.digest }}@{{ $image.digest }}{{ else }}:{{ $image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}

{{/* Of the chart and of the whole release, each as a name or as an object. */}}
{{- define "chat-operator.pullSecrets" -}}
{{- $names := list -}}
{{- range concat ((.Values.global).imagePullSecrets | default list) .Values.imagePullSecrets -}}
{{- $names = append $names (kindIs "map" . | ternary . (dict "name" .)).name -}}
{{- end -}}
{{- range uniq $names }}
- name: {{ . }}
{{- end -}}
{{- end }}

{{- define "chat-operator.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{ .Values.serviceAccount.name | default (include "chat-operator.fullname" .) }}
{{- else -}}
{{ .Values.serviceAccount.name | default "default" }}
{{- end -}}
{{- end }}

{{/* What the restricted Pod Security Standard asks for. The user is the image's, or the one that
OpenShift gives. */}}
{{- define "chat-operator.podSecurity" -}}
runAsNonRoot: true
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "chat-operator.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* What the operator does with ChatClusters and what it makes of them: nothing here that it does
not do. Deleting is for what was switched off. */}}
{{- define "chat-operator.rules" -}}
{{- $group := include "chat-operator.group" . -}}
{{- $plural := include "chat-operator.plural" . -}}
- apiGroups: [{{ $group }}]
  resources: [{{ $plural }}]
  verbs: [get, list, watch]
- apiGroups: [{{ $group }}]
  resources: [{{ $plural }}/status]
  verbs: [patch]
# The built-in autoscaling.
- apiGroups: [{{ $group }}]
  resources: [{{ $plural }}/scale]
  verbs: [get, patch]
# Owner references that block the owner's deletion, where an admission plugin asks for it.
- apiGroups: [{{ $group }}]
  resources: [{{ $plural }}/finalizers]
  verbs: [update]
- apiGroups: [""]
  resources: [services, serviceaccounts, configmaps]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [autoscaling]
  resources: [horizontalpodautoscalers]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [monitoring.coreos.com]
  resources: [servicemonitors]
  verbs: [get, list, watch, create, patch, delete]
# Which configurations are still in use.
- apiGroups: [apps]
  resources: [replicasets]
  verbs: [list]
# Which server goes first when there are to be fewer.
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch, patch]
# Read by name; of the others only the metadata is watched, so that a rotation is noticed.
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, list, watch]
- apiGroups: ["", events.k8s.io]
  resources: [events]
  verbs: [create, patch]
# Why a migration gets no pod.
- apiGroups: [""]
  resources: [events]
  verbs: [list]
{{- end }}

{{/* Of a time like 15s or 2m, which the schema has looked at. */}}
{{- define "chat-operator.seconds" -}}
{{- $number := regexFind "^[0-9]+" . | int -}}
{{ hasSuffix "m" . | ternary (mul $number 60) $number }}
{{- end }}
