{{/* Names, labels and images. */}}

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

{{/* A name with an ending, of 63 letters at most. Takes `root` and `ending`. */}}
{{- define "costband.named" -}}
{{- $room := sub 62 (len .ending) | int }}
{{- include "costband.fullname" .root | trunc $room | trimSuffix "-" }}-{{ .ending }}
{{- end }}

{{- define "costband.node.fullname" -}}
{{- include "costband.named" (dict "root" . "ending" "node") }}
{{- end }}

{{- define "costband.sidecar.fullname" -}}
{{- include "costband.named" (dict "root" . "ending" "sidecar") }}
{{- end }}

{{- define "costband.exporter.fullname" -}}
{{- include "costband.named" (dict "root" . "ending" "exporter") }}
{{- end }}

{{/* Labels that select pods and therefore never change during a release's life. */}}
{{- define "costband.selectorLabels" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- define "costband.central.selectorLabels" -}}
{{ include "costband.selectorLabels" . }}
app.kubernetes.io/component: central
{{- end }}

{{- define "costband.node.selectorLabels" -}}
{{ include "costband.selectorLabels" . }}
app.kubernetes.io/component: node
{{- end }}

{{- define "costband.labels" -}}
{{ include "costband.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: costband
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
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

{{- define "costband.central.serviceAccountName" -}}
{{- if .Values.central.serviceAccount.create }}
{{- default (include "costband.fullname" .) .Values.central.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.central.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "costband.node.serviceAccountName" -}}
{{- if .Values.node.serviceAccount.create }}
{{- default (include "costband.node.fullname" .) .Values.node.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.node.serviceAccount.name }}
{{- end }}
{{- end }}
