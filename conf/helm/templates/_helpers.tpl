{{- define "tine.name" -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- define "tine.selector" -}}
app.kubernetes.io/name: tine
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}
{{- define "tine.labels" -}}
{{ include "tine.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}
{{- define "tine.ini" -}}
{{- $fixed := dict "server" (dict "bind" "0.0.0.0:8000" "chdir" "/srv" "workers" .Values.workers "drain_delay" (printf "%vs" .Values.drainDelay) "graceful_timeout" (printf "%vs" .Values.gracefulTimeout) "boot_timeout" (printf "%vs" .Values.startTimeout)) "app" (dict "module" .Values.app.module) "metrics" (dict "bind" "0.0.0.0:9100") -}}
{{- range $section, $keys := merge $fixed (deepCopy .Values.config) }}
[{{ $section }}]
{{- range $key, $value := $keys }}
{{ $key }} = {{ $value }}
{{- end }}
{{ end }}
{{- end -}}
