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

{{/* Authorities of the site's own. OpenSSL and obstore's TLS read both variables; the folder is where the images have the
public ones. */}}
{{- define "velum.trust.env" -}}
{{- if .Values.trust.existingConfigMap }}
- name: SSL_CERT_FILE
  value: /etc/velum-trust/ca.crt
- name: SSL_CERT_DIR
  value: /etc/ssl/certs
{{- end }}
{{- end -}}

{{- define "velum.trust.volume" -}}
{{- with .Values.trust.existingConfigMap }}
- name: trust
  configMap:
    name: {{ . }}
    items:
      - {key: {{ $.Values.trust.key }}, path: ca.crt}
{{- end }}
{{- end -}}

{{- define "velum.trust.mount" -}}
{{- if .Values.trust.existingConfigMap }}
- name: trust
  mountPath: /etc/velum-trust
  readOnly: true
{{- end }}
{{- end -}}

{{/* Environment of whoever opens the stores. */}}
{{- define "velum.storage.env" -}}
{{- include "velum.trust.env" . }}
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
{{- include "velum.trust.volume" . }}
{{- if eq .Values.storage.type "claim" }}
- name: storage
  persistentVolumeClaim:
    claimName: {{ include "velum.claim" . }}
{{- end }}
{{- end -}}

{{- define "velum.storage.mount" -}}
{{- include "velum.trust.mount" . }}
{{- if eq .Values.storage.type "claim" }}
- name: storage
  mountPath: /var/lib/velum
{{- end }}
{{- end -}}
