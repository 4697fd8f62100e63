{{- define "velum.claim" -}}
{{- .Values.storage.claim.existingClaim | default (printf "%s-storage" (include "velum.fullname" .)) -}}
{{- end -}}

{{- define "velum.storage.inputUrl" -}}
{{- if eq .Values.storage.type "claim" -}}file:///var/lib/velum/input{{- else -}}
{{- required "storage.s3.input: the URL of uploads and sources, such as s3://bucket/input" .Values.storage.s3.input -}}
{{- end -}}
{{- end -}}

{{- define "velum.storage.outputUrl" -}}
{{- if eq .Values.storage.type "claim" -}}file:///var/lib/velum/output{{- else -}}
{{- required "storage.s3.output: the URL of results, such as s3://bucket/output" .Values.storage.s3.output -}}
{{- end -}}
{{- end -}}

{{/* Environment of whoever opens the stores. */}}
{{- define "velum.storage.env" -}}
{{- if eq .Values.storage.type "s3" }}
{{- with .Values.storage.s3.region }}
- name: AWS_REGION
  value: {{ . | quote }}
{{- end }}
{{- with .Values.storage.s3.endpoint }}
- name: AWS_ENDPOINT_URL
  value: {{ . | quote }}
{{- end }}
{{- if .Values.storage.s3.allowHttp }}
- name: AWS_ALLOW_HTTP
  value: "true"
{{- end }}
{{- with .Values.storage.s3.existingSecret }}
- name: AWS_ACCESS_KEY_ID
  valueFrom:
    secretKeyRef: {name: {{ . }}, key: AWS_ACCESS_KEY_ID}
- name: AWS_SECRET_ACCESS_KEY
  valueFrom:
    secretKeyRef: {name: {{ . }}, key: AWS_SECRET_ACCESS_KEY}
{{- end }}
{{- end }}
{{- end -}}

{{- define "velum.storage.volume" -}}
{{- if eq .Values.storage.type "claim" }}
- name: storage
  persistentVolumeClaim:
    claimName: {{ include "velum.claim" . }}
{{- end }}
{{- end -}}

{{- define "velum.storage.mount" -}}
{{- if eq .Values.storage.type "claim" }}
- name: storage
  mountPath: /var/lib/velum
{{- end }}
{{- end -}}
