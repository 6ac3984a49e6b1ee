{{/* The pod of the modes standalone and deployment. */}}
{{- define "chat.pod" -}}
metadata:
  labels:
    {{- include "chat.podLabels" . | nindent 4 }}
    {{- with .Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    kubectl.kubernetes.io/default-container: chat-server
    # The server reads its file once, so another file is another pod.
    checksum/config: {{ include "chat.settings" . | sha256sum }}
    {{- with .Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "chat.serviceAccount" . }}
  automountServiceAccountToken: false
  # Variables for each Service of the namespace are nobody's business here.
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ include "chat.graceSeconds" . }}
  securityContext:
    {{- include "chat.podSecurity" . | nindent 4 }}
    {{- with .Values.podSecurityContext }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with include "chat.pullSecrets" . }}
  imagePullSecrets: {{- trim . | nindent 4 }}
  {{- end }}
  containers:
    - name: chat-server
      image: {{ include "chat.image" . }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args: [-c, /etc/chat-server/config/chat.toml]
      {{- with .Values.extraEnv }}
      env: {{- toYaml . | nindent 8 }}
      {{- end }}
      ports:
        - {name: http, containerPort: 8080}
        - {name: metrics, containerPort: 9090}
      # A start that changes large tables takes its time.
      startupProbe:
        httpGet: {path: /healthz, port: http}
        periodSeconds: 2
        failureThreshold: 300
      # Whether the process lives; what it stands on is no reason to restart it.
      livenessProbe:
        httpGet: {path: /healthz, port: http}
        periodSeconds: 10
        timeoutSeconds: 3
        failureThreshold: 3
      readinessProbe:
        httpGet: {path: /readyz, port: http}
        periodSeconds: 2
        timeoutSeconds: 2
        failureThreshold: 2
      securityContext: {{- include "chat.containerSecurity" . | nindent 8 }}
      resources: {{- toYaml .Values.resources | nindent 8 }}
      volumeMounts:
        - {name: config, mountPath: /etc/chat-server/config, readOnly: true}
        {{- if include "chat.secretSources" . }}
        - {name: secrets, mountPath: /etc/chat-server/secrets, readOnly: true}
        {{- end }}
        {{- if eq .Values.mode "standalone" }}
        - {name: data, mountPath: /data}
        {{- end }}
        - {name: tmp, mountPath: /tmp}
        {{- with .Values.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
  volumes:
    - name: config
      configMap: {name: {{ include "chat.fullname" . }}-config}
    {{- with include "chat.secretSources" . }}
    - name: secrets
      projected:
        sources: {{- trim . | nindent 10 }}
    {{- end }}
    {{- if eq .Values.mode "standalone" }}
    - name: data
      {{- if not .Values.persistence.enabled }}
      emptyDir: {}
      {{- else }}
      persistentVolumeClaim:
        claimName: {{ .Values.persistence.existingClaim | default (printf "%s-data" (include "chat.fullname" .)) }}
      {{- end }}
    {{- end }}
    - name: tmp
      emptyDir: {}
    {{- with .Values.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with .Values.nodeSelector }}
  nodeSelector: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if .Values.topologySpreadConstraints }}
  topologySpreadConstraints: {{- toYaml .Values.topologySpreadConstraints | nindent 4 }}
  {{- else if eq .Values.mode "deployment" }}
  topologySpreadConstraints:
    {{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
    - maxSkew: 1
      topologyKey: {{ . }}
      whenUnsatisfiable: ScheduleAnyway
      # Each version by itself, so that new servers spread although the old ones are still there.
      matchLabelKeys: [pod-template-hash]
      labelSelector:
        matchLabels: {{- include "chat.selector" $ | nindent 10 }}
    {{- end }}
  {{- end }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
{{- end }}
