{{- define "velum.models" -}}
{{- range $name, $spec := .Values.models }}
{{- if $spec }}
---
apiVersion: velum.dev/v1alpha1
kind: AnonymizationModel
metadata:
  name: {{ $name }}
  labels: {{- include "velum.selector" (dict "root" $) | nindent 4 }}
spec: {{- toYaml $spec | nindent 2 }}
{{- end }}
{{- end }}
{{- end -}}
