{{/* Names are fixed: the objects that the manager makes and the address that proxies dial are, too. */}}
{{- define "ctrlmesh.labels" -}}
app.kubernetes.io/name: ctrlmesh
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: ctrlmesh
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The manager finds its replicas by this label. */}}
{{- define "ctrlmesh.selector" -}}
control-plane: ctrlmesh
{{- end -}}

{{/* Image by digest, else by tag; takes a list of the chart's root and an override. */}}
{{- define "ctrlmesh.image" -}}
{{- $root := index . 0 -}}
{{- $override := index . 1 -}}
{{- $repository := $override.repository | default $root.Values.image.repository -}}
{{- $ownTag := or $override.tag $override.digest -}}
{{- $digest := ternary $override.digest ($override.digest | default $root.Values.image.digest) (not (empty $ownTag)) -}}
{{- $tag := $override.tag | default $root.Values.image.tag | default $root.Chart.AppVersion -}}
{{- if $digest -}}{{ printf "%s@%s" $repository $digest }}{{- else -}}{{ printf "%s:%s" $repository $tag }}{{- end -}}
{{- end -}}

{{/* Fit for Pod Security `restricted`. */}}
{{- define "ctrlmesh.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}
{{- define "ctrlmesh.podSecurity" -}}
runAsNonRoot: true
runAsUser: 1359
runAsGroup: 1359
seccompProfile:
  type: RuntimeDefault
{{- end -}}
