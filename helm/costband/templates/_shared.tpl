{{/*
What the charts costband and costband-sidecar share: names, labels, the container and its volumes.
Both hold this file byte for byte, so that either renders without the other and without a network.
*/}}

{{- define "costband.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/* Labels that select pods and therefore never change during a release's life. */}}
{{- define "costband.selectorLabels" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- define "costband.labels" -}}
{{ include "costband.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: costband
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* An image. Takes `image` and `tag`, which stands where the image names no tag; "" for none. */}}
{{- define "costband.image" -}}
{{- $tag := .image.tag }}
{{- if not .image.digest }}
{{- $tag = default .tag .image.tag }}
{{- end }}
{{- .image.repository }}
{{- with $tag }}:{{ . }}{{ end }}
{{- with .image.digest }}@{{ . }}{{ end }}
{{- end }}

{{/*
costband's container without its name and without probes. Takes `root`, `values` (image, port,
listenAddress, env, envFrom, resources, runAsUser, runAsGroup, secretMounts, extraVolumeMounts),
`portName`, and `variables` that stand before those of the values.
*/}}
{{- define "costband.container" -}}
{{- $values := .values -}}
image: {{ include "costband.image" (dict "image" $values.image "tag" .root.Chart.AppVersion) | quote }}
imagePullPolicy: {{ $values.image.pullPolicy }}
args: [run, -c, /etc/costband/costband.yaml]
env:
  {{- with .variables }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  - name: COSTBAND__LISTEN
    value: {{ printf "%s:%d" $values.listenAddress (int $values.port) | quote }}
  - name: COSTBAND__STORE__PATH
    value: /var/lib/costband/costband.db
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
  {{- include "costband.restricted" $values | nindent 2 }}
{{- with $values.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
volumeMounts:
  - name: costband-config
    mountPath: /etc/costband
    readOnly: true
  - name: costband-ledger
    mountPath: /var/lib/costband
  {{- range $index, $secret := $values.secretMounts }}
  - name: costband-secret-{{ $index }}
    mountPath: /run/secrets/costband/{{ $secret }}
    readOnly: true
  {{- end }}
  {{- with $values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{/* What the restricted Pod Security Standard asks of a container. Takes runAsUser, runAsGroup. */}}
{{- define "costband.restricted" -}}
allowPrivilegeEscalation: false
capabilities:
  drop: [ALL]
privileged: false
readOnlyRootFilesystem: true
runAsNonRoot: true
{{- with .runAsUser }}
runAsUser: {{ int64 . }}
{{- end }}
{{- with .runAsGroup }}
runAsGroup: {{ int64 . }}
{{- end }}
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{/* The volumes of the container but for the ledger's. Takes `root` and `values`. */}}
{{- define "costband.volumes" -}}
- name: costband-config
  {{- if .values.existingSecret }}
  secret:
    secretName: {{ .values.existingSecret | quote }}
  {{- else }}
  configMap:
    name: {{ default (include "costband.fullname" .root) .values.existingConfigMap | quote }}
  {{- end }}
{{- range $index, $secret := .values.secretMounts }}
- name: costband-secret-{{ $index }}
  secret:
    secretName: {{ $secret | quote }}
{{- end }}
{{- end }}
