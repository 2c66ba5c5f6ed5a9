{{- define "costband-sidecar.podLabels" -}}
{{ include "costband.selectorLabels" . }}
app.kubernetes.io/component: workload
{{- end }}

{{/* The configuration; not in values.yaml, because Helm would merge it with what somebody writes. */}}
{{- define "costband-sidecar.configuration" -}}
{{- if .Values.sidecar.config }}
{{- toYaml .Values.sidecar.config }}
{{- else -}}
gpu:
  - name: node
    url: http://$(HOST_IP):9400/metrics
{{- end }}
{{- end }}

{{/*
costband beside another container: no probe of any kind, so that nothing it does makes the pod
unready, restarts it or holds its start.
*/}}
{{- define "costband-sidecar.container" -}}
{{- $variables := list (dict "name" "COSTBAND__ROLE" "value" "sidecar") -}}
{{- range $variable := list (list "HOST_IP" "status.hostIP") (list "COSTBAND__NODE" "spec.nodeName") (list "COSTBAND__POD__NAMESPACE" "metadata.namespace") (list "COSTBAND__POD__NAME" "metadata.name") -}}
{{- $variables = append $variables (dict "name" (first $variable) "valueFrom" (dict "fieldRef" (dict "fieldPath" (last $variable)))) -}}
{{- end -}}
- name: costband
  {{- if .Values.nativeSidecar }}
  restartPolicy: Always
  {{- end }}
  {{- include "costband.container" (dict "root" . "values" .Values.sidecar "portName" "costband" "variables" $variables) | nindent 2 }}
{{- end }}
