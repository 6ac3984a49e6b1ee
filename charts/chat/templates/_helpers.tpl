{{/* Of the ChatCluster. The only place of this chart that knows the group. */}}
{{- define "chat.apiVersion" -}}
chat.example.com/v1alpha1
{{- end }}

{{- define "chat.name" -}}
{{ default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" }}
{{- end }}

{{/* Of everything. A ChatCluster's name may have forty characters, and a Service's no dots. */}}
{{- define "chat.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{ .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else -}}
{{- $name := include "chat.name" . -}}
{{- $release := .Release.Name | replace "." "-" -}}
{{ ternary $release (printf "%s-%s" $release $name) (contains $name $release) | trunc 40 | trimSuffix "-" }}
{{- end -}}
{{- end }}

{{- define "chat.selector" -}}
app.kubernetes.io/name: {{ include "chat.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "chat.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "chat.podLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{/* Without the versions: a new chart that changes nothing for the server restarts none. */}}
{{- define "chat.podLabels" -}}
{{ include "chat.selector" . }}
app.kubernetes.io/component: server
app.kubernetes.io/part-of: chat
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Name and registry. */}}
{{- define "chat.repository" -}}
{{- with (.Values.global).imageRegistry | default .Values.image.registry }}{{ . }}/{{ end }}{{ .Values.image.repository }}
{{- end }}

{{- define "chat.tag" -}}
{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{/* The image of the pods that are not the operator's. */}}
{{- define "chat.image" -}}
{{- with .Values.image.digest -}}
{{ include "chat.repository" $ }}@{{ . }}
{{- else -}}
{{ include "chat.repository" . }}:{{ include "chat.tag" . }}
{{- end -}}
{{- end }}

{{/* The names of Secrets of the chart and of the whole release, each given as a name or as an object. */}}
{{- define "chat.pullSecretNames" -}}
{{- $names := list -}}
{{- range concat ((.Values.global).imagePullSecrets | default list) .Values.imagePullSecrets -}}
{{- $names = append $names (kindIs "map" . | ternary . (dict "name" .)).name -}}
{{- end -}}
{{ uniq $names | toJson }}
{{- end }}

{{- define "chat.pullSecrets" -}}
{{- range include "chat.pullSecretNames" . | fromJsonArray }}
- name: {{ . }}
{{- end }}
{{- end }}

{{- define "chat.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{ .Values.serviceAccount.name | default (include "chat.fullname" .) }}
{{- else -}}
{{ .Values.serviceAccount.name | default "default" }}
{{- end -}}
{{- end }}

{{/* The port of the Service, whoever makes it. */}}
{{- define "chat.servicePort" -}}
{{- if eq .Values.mode "cluster" -}}
{{ dig "service" "port" 80 .Values.cluster }}
{{- else -}}
{{ .Values.service.port }}
{{- end -}}
{{- end }}

{{/* Of the servers themselves. */}}
{{- define "chat.scheme" -}}
{{ and (eq .Values.mode "cluster") .Values.cluster.tls | empty | ternary "http" "https" }}
{{- end }}

{{/* Where people reach the chat, as far as the chart knows; else nothing. */}}
{{- define "chat.url" -}}
{{- if and .Values.ingress.enabled .Values.ingress.hosts -}}
{{ .Values.ingress.tls | empty | ternary "http" "https" }}://{{ first .Values.ingress.hosts }}
{{- else if and .Values.httpRoute.enabled .Values.httpRoute.hostnames -}}
https://{{ first .Values.httpRoute.hostnames }}
{{- end -}}
{{- end }}

{{/* What the restricted Pod Security Standard asks for. The user is the image's, or the one that
OpenShift gives. */}}
{{- define "chat.podSecurity" -}}
runAsNonRoot: true
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "chat.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* Seconds, by mode if nobody says: where there is no other server, nobody can move to one. */}}
{{- define "chat.noticeSeconds" -}}
{{- $given := .Values.drain.noticeSeconds -}}
{{ kindIs "invalid" $given | ternary (eq .Values.mode "standalone" | ternary 0 5) $given | int }}
{{- end }}

{{- define "chat.windowSeconds" -}}
{{- $given := .Values.drain.windowSeconds -}}
{{ kindIs "invalid" $given | ternary (eq .Values.mode "standalone" | ternary 5 60) $given | int }}
{{- end }}

{{/* Within so many a server ends by itself: ten for the last frames and commits. */}}
{{- define "chat.limitSeconds" -}}
{{ add (include "chat.noticeSeconds" .) (include "chat.windowSeconds" .) 10 }}
{{- end }}

{{/* After so many it is killed. */}}
{{- define "chat.graceSeconds" -}}
{{- $least := add (include "chat.limitSeconds" .) 5 -}}
{{ kindIs "invalid" .Values.drain.gracePeriodSeconds | ternary $least .Values.drain.gracePeriodSeconds | int }}
{{- end }}

{{/* A table of settings as lines `a.b = value`: those of TOML's values that settings have are spelled
like JSON's. Helm's own toToml writes 100000 as 100000.0, which is no number of connections. */}}
{{- define "chat.toml" -}}
{{- range $key, $value := .table }}
{{- $name := printf "%s%s" $.prefix $key }}
{{- if kindIs "map" $value }}
{{- include "chat.toml" (dict "prefix" (printf "%s." $name) "table" $value) }}
{{- else if not (kindIs "invalid" $value) }}
{{ $name }} = {{ toJson $value }}
{{- end }}
{{- end }}
{{- end }}

{{/* The server's file. */}}
{{- define "chat.settings" -}}
{{- $secrets := "/etc/chat-server/secrets" -}}
{{- $settings := dict
  "listen" "0.0.0.0:8080"
  "metrics" (dict "listen" "0.0.0.0:9090")
  "log" (dict "format" "json")
  "drain" (dict
    "notice" (printf "%ss" (include "chat.noticeSeconds" .))
    "clients" (printf "%ss" (include "chat.windowSeconds" .))
    "limit" (printf "%ss" (include "chat.limitSeconds" .)))
-}}
{{- with include "chat.url" . }}{{ $_ := set $settings "public_url" . }}{{ end -}}
{{- if .Values.auth.secretRef -}}
{{- $_ := set $settings "auth" (dict "secret_file" (printf "%s/auth-secret" $secrets)) -}}
{{- end -}}
{{- $files := dict -}}
{{- with .Values.files -}}
{{- with .store }}{{ $_ := set $files "store" . }}{{ end -}}
{{- with .s3.endpoint }}{{ $_ := set $files "s3_endpoint" . }}{{ end -}}
{{- with .s3.region }}{{ $_ := set $files "s3_region" . }}{{ end -}}
{{- with .s3.accessKeyId }}{{ $_ := set $files "s3_access_key_id" . }}{{ end -}}
{{- if .s3.virtualHosted }}{{ $_ := set $files "s3_virtual_hosted" true }}{{ end -}}
{{- if .s3.secretRef }}{{ $_ := set $files "s3_secret_access_key_file" (printf "%s/files-s3-key" $secrets) }}{{ end -}}
{{- if .s3.caSecretRef }}{{ $_ := set $files "ca_file" (printf "%s/files-ca.crt" $secrets) }}{{ end -}}
{{- end -}}
{{- if $files }}{{ $_ := set $settings "files" $files }}{{ end -}}
{{- if eq .Values.mode "standalone" -}}
{{- $_ := set $settings "data_dir" "/data" -}}
{{- else -}}
{{- $_ := set $settings "store_file" (printf "%s/database-url" $secrets) -}}
{{- $_ := set $settings "bus_file" (printf "%s/redis-url" $secrets) -}}
{{- if .Values.deployment.database.caSecretRef -}}
{{- $_ := set $settings "postgres" (dict "ca_file" (printf "%s/database-ca.crt" $secrets)) -}}
{{- end -}}
{{- if .Values.deployment.redis.caSecretRef -}}
{{- $_ := set $settings "redis" (dict "ca_file" (printf "%s/redis-ca.crt" $secrets)) -}}
{{- end -}}
{{- end -}}
{{ include "chat.toml" (dict "prefix" "" "table" (mergeOverwrite $settings (deepCopy .Values.config))) | trim }}
{{- end }}

{{/* The Secrets of a pod as one volume; nothing if there are none. */}}
{{- define "chat.secretSources" -}}
{{- $files := dict
  "auth-secret" .Values.auth.secretRef
  "files-s3-key" .Values.files.s3.secretRef
  "files-ca.crt" .Values.files.s3.caSecretRef
-}}
{{- if eq .Values.mode "deployment" -}}
{{- with .Values.deployment -}}
{{- $_ := set $files "database-url" .database.urlSecretRef -}}
{{- $_ := set $files "database-ca.crt" .database.caSecretRef -}}
{{- $_ := set $files "redis-url" .redis.urlSecretRef -}}
{{- $_ := set $files "redis-ca.crt" .redis.caSecretRef -}}
{{- end -}}
{{- end -}}
{{- range $file, $ref := $files }}
{{- if $ref }}
- secret:
    name: {{ $ref.name }}
    items: [{key: {{ $ref.key | quote }}, path: {{ $file }}}]
{{- end }}
{{- end }}
{{- end }}
