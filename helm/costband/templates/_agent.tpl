{{/* What the agents of all modes share: the container, its volumes, the rest of a pod, a monitor. */}}

{{/*
costband's container without its name and without probes. Takes `root`, `values` (those of the mode:
port, env, envFrom, resources, secretMounts, extraVolumeMounts), `portName`, `variables`, which stand
before those of the values, `folder`, whether the ledger has one, and `privileged`.
*/}}
{{- define "costband.container" -}}
{{- $values := .values -}}
image: {{ include "costband.image" (dict "image" .root.Values.image "tag" .root.Chart.AppVersion) | quote }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
args: [run, -c, /etc/costband/costband.yaml]
env:
  {{- with .variables }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  - name: COSTBAND__LISTEN
    value: {{ printf "%s:%d" .root.Values.listenAddress (int $values.port) | quote }}
  {{- with $values.env }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with $values.envFrom }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
ports:
  - name: {{ .portName }}
    containerPort: {{ int $values.port }}
    protocol: TCP
securityContext:
  {{- include "costband.restricted" (dict "root" .root "privileged" .privileged) | nindent 2 }}
{{- with $values.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
volumeMounts:
  - name: costband-config
    mountPath: /etc/costband
    readOnly: true
  {{- if .folder }}
  - name: costband-ledger
    mountPath: /var/lib/costband
  {{- end }}
  {{- range $index, $secret := $values.secretMounts }}
  - name: costband-secret-{{ $index }}
    mountPath: /run/secrets/costband/{{ $secret }}
    readOnly: true
  {{- end }}
  {{- with .mounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  {{- with $values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{/* What the restricted Pod Security Standard asks of a container. Takes `root` and `privileged`. */}}
{{- define "costband.restricted" -}}
{{- if .privileged -}}
privileged: true
{{- else -}}
allowPrivilegeEscalation: false
capabilities:
  drop: [ALL]
privileged: false
{{- end }}
readOnlyRootFilesystem: true
runAsNonRoot: true
{{- with .root.Values.runAsUser }}
runAsUser: {{ int64 . }}
{{- end }}
{{- with .root.Values.runAsGroup }}
runAsGroup: {{ int64 . }}
{{- end }}
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{/* The volumes of the container but for the ledger's. Takes `values`, and `name` of the ConfigMap. */}}
{{- define "costband.volumes" -}}
- name: costband-config
  {{- if .values.existingSecret }}
  secret:
    secretName: {{ .values.existingSecret | quote }}
  {{- else }}
  configMap:
    name: {{ default .name .values.existingConfigMap | quote }}
  {{- end }}
{{- range $index, $secret := .values.secretMounts }}
- name: costband-secret-{{ $index }}
  secret:
    secretName: {{ $secret | quote }}
{{- end }}
{{- end }}

{{/* A ConfigMap with a configuration. Takes `root`, `name`, `namespace` and `configuration`. */}}
{{- define "costband.configMap" -}}
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .name | quote }}
  namespace: {{ .namespace | quote }}
  labels:
    {{- include "costband.labels" .root | nindent 4 }}
data:
  {{- toYaml (dict "costband.yaml" (printf "%s\n" .configuration)) | nindent 2 }}
{{- end }}

{{/*
Metadata of a pod of the chart's own. Takes `values`, `labels` as YAML, which none of the values
override, and `configuration` where a change of it replaces the pod.
*/}}
{{- define "costband.podMetadata" -}}
{{- $annotations := dict }}
{{- with .configuration }}
{{- $_ := set $annotations "checksum/config" (sha256sum .) }}
{{- end }}
{{- with merge $annotations .values.podAnnotations -}}
annotations:
  {{- toYaml . | nindent 2 }}
{{ end -}}
labels:
  {{- toYaml (merge (fromYaml .labels) .values.podLabels) | nindent 2 }}
{{- end }}

{{/* The part of a pod of the chart's own that no mode differs in. Takes `root` and `values`. */}}
{{- define "costband.podSpec" -}}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
# A service's variables could be taken for overrides of the configuration.
enableServiceLinks: false
terminationGracePeriodSeconds: {{ int .values.terminationGracePeriodSeconds }}
{{- with .values.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
securityContext:
  runAsNonRoot: true
  {{- with .root.Values.fsGroup }}
  fsGroup: {{ int64 . }}
  fsGroupChangePolicy: OnRootMismatch
  {{- end }}
  seccompProfile:
    type: RuntimeDefault
{{- with .values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* The probes of an agent in a pod of its own. None asks how old a bill is, or whether a cloud answers. */}}
{{- define "costband.probes" -}}
startupProbe:
  httpGet:
    path: /healthz
    port: http
  periodSeconds: 2
  failureThreshold: 150
livenessProbe:
  httpGet:
    path: /healthz
    port: http
  periodSeconds: 20
  timeoutSeconds: 5
  failureThreshold: 3
readinessProbe:
  httpGet:
    path: /readyz
    port: http
  periodSeconds: 5
  timeoutSeconds: 5
  failureThreshold: 3
{{- end }}

{{/* How Prometheus Operator scrapes a port. Takes `monitor` and `port`. */}}
{{- define "costband.endpoint" -}}
- port: {{ .port }}
  path: /metrics
  interval: {{ .monitor.interval | quote }}
  {{- with .monitor.scrapeTimeout }}
  scrapeTimeout: {{ . | quote }}
  {{- end }}
  {{- if .monitor.bearerTokenSecret.name }}
  authorization:
    type: Bearer
    credentials:
      {{- toYaml .monitor.bearerTokenSecret | nindent 6 }}
  {{- end }}
{{- end }}

{{/* A rule of a NetworkPolicy without which no name is found. */}}
{{- define "costband.nameResolution" -}}
- ports:
    - port: 53
      protocol: UDP
    - port: 53
      protocol: TCP
{{- end }}
