{{/* What a schema cannot say, each with what to do. */}}
{{- define "chat.validate" -}}
{{- if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" (include "chat.fullname" .)) -}}
{{- fail (printf "the name %q is not one that a Service may have (small letters, digits and '-', a letter first): set fullnameOverride" (include "chat.fullname" .)) -}}
{{- end -}}
{{- if eq .Values.mode "cluster" -}}
{{- include "chat.validateCluster" . -}}
{{- else -}}
{{- include "chat.validateServer" . -}}
{{- end -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.hosts) -}}
{{- fail "ingress.enabled needs ingress.hosts: the names under which people reach the chat" -}}
{{- end -}}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.parentRefs) -}}
{{- fail "httpRoute.enabled needs httpRoute.parentRefs: the gateway (kubectl get gateways -A)" -}}
{{- end -}}
{{- end }}

{{- define "chat.validateCluster" -}}
{{- range list "database" "redis" -}}
{{- if not (dig . "urlSecretRef" "name" "" $.Values.cluster) -}}
{{- fail (printf "mode=cluster needs cluster.%s.urlSecretRef: {name: …, key: …} of a Secret in the namespace %s" . $.Release.Namespace) -}}
{{- end -}}
{{- end -}}
{{- if .Values.config -}}
{{- fail "config is for the modes standalone and deployment: with mode=cluster say it in cluster.config" -}}
{{- end -}}
{{- if or .Values.files.store .Values.files.s3.secretRef -}}
{{- fail "files is for the modes standalone and deployment: with mode=cluster say it in cluster.config.files" -}}
{{- end -}}
{{- if .Values.auth.secretRef -}}
{{- fail "auth.secretRef is for the modes standalone and deployment: with mode=cluster say it in cluster.auth.secretRef" -}}
{{- end -}}
{{- /* Without a cluster to ask (helm template), Helm believes in every API that there ever was, so
also in one that no cluster serves any more; nothing can be said then. */ -}}
{{- $asked := not (.Capabilities.APIVersions.Has "extensions/v1beta1") -}}
{{- if and $asked (not (.Capabilities.APIVersions.Has (printf "%s/ChatCluster" (include "chat.apiVersion" .)))) -}}
{{- fail "mode=cluster needs the operator, and this cluster does not know ChatCluster: install the chart chat-operator first, or choose another mode" -}}
{{- end -}}
{{- end }}

{{- define "chat.validateServer" -}}
{{- $least := add (include "chat.limitSeconds" .) 5 | int -}}
{{- if lt (include "chat.graceSeconds" . | int) $least -}}
{{- fail (printf "drain.gracePeriodSeconds is too short, servers would be killed while they drain: make it at least noticeSeconds + windowSeconds + 15 = %d, or leave it out" $least) -}}
{{- end -}}
{{- $elsewhere := dict
  "listen" "it is 0.0.0.0:8080; the Service has service.port"
  "metrics.listen" "it is 0.0.0.0:9090"
  "data_dir" "it is /data, on the volume of persistence"
  "store" "choose it with mode"
  "store_file" "say it in deployment.database.urlSecretRef"
  "bus" "choose it with mode"
  "bus_file" "say it in deployment.redis.urlSecretRef"
  "auth.secret" "secrets do not belong into values: say it in auth.secretRef"
  "auth.secret_file" "say it in auth.secretRef"
  "files" "say it in files"
  "postgres.ca_file" "say it in deployment.database.caSecretRef"
  "redis.ca_file" "say it in deployment.redis.caSecretRef"
  "drain" "say it in drain, so that the pod's grace period fits"
  "tls" "end TLS at an Ingress or a gateway, or use mode=cluster, where cluster.tls does it"
-}}
{{- range $name, $instead := $elsewhere -}}
{{- $path := splitList "." $name -}}
{{- $table := $.Values.config -}}
{{- range initial $path -}}
{{- $table = get (kindIs "map" $table | ternary $table dict) . -}}
{{- end -}}
{{- if hasKey (kindIs "map" $table | ternary $table dict) (last $path) -}}
{{- fail (printf "config.%s cannot be set here: %s" $name $instead) -}}
{{- end -}}
{{- end -}}
{{- if eq .Values.mode "deployment" -}}
{{- range list "database" "redis" -}}
{{- if not (dig . "urlSecretRef" "name" "" $.Values.deployment) -}}
{{- fail (printf "mode=deployment needs deployment.%s.urlSecretRef: {name: …, key: …} of a Secret in the namespace %s" . $.Release.Namespace) -}}
{{- end -}}
{{- end -}}
{{- with .Values.deployment.autoscaling -}}
{{- if .enabled -}}
{{- if gt (int .minReplicas) (int .maxReplicas) -}}
{{- fail "deployment.autoscaling: minReplicas is above maxReplicas" -}}
{{- end -}}
{{- if not (or .cpuPercent .connectionsPerPod) -}}
{{- fail "deployment.autoscaling needs something to scale by: set cpuPercent or connectionsPerPod" -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if .Values.cluster -}}
{{- fail (printf "cluster is for mode=cluster, and mode is %s: nothing of it would count" .Values.mode) -}}
{{- end -}}
{{- end }}
