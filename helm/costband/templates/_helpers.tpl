{{- define "costband.agentLabels" -}}
{{ include "costband.selectorLabels" . }}
app.kubernetes.io/component: agent
{{- end }}

{{- define "costband.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "costband.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{/*
The configuration. It stands here and not in values.yaml because Helm merges maps: a default list of
GPU pages would stay beside the sources that somebody writes.
*/}}
{{- define "costband.configuration" -}}
{{- if .Values.config }}
{{- toYaml .Values.config }}
{{- else -}}
gpu:
  - name: gpu-operator
    url: http://nvidia-dcgm-exporter.gpu-operator.svc:9400/metrics
{{- end }}
{{- end }}

{{- define "costband.writesConfiguration" -}}
{{- if not (or .Values.existingConfigMap .Values.existingSecret) }}true{{ end }}
{{- end }}
