{{/* What the backup's CronJob and the restore's Job share. */}}

{{- define "perijove.backup.claim" -}}
{{- default (printf "%s-backup" (include "perijove.fullname" .)) .Values.backup.pvc.existingClaim }}
{{- end }}

{{- define "perijove.backup.bucket" -}}
bucket:{{ .Values.backup.s3.bucket }}/{{ default .Release.Name .Values.backup.s3.prefix }}
{{- end }}

{{/* rclone's container, which runs one of files/backup: (dict "root" $ "name" "upload" "env" (dict …)). */}}
{{- define "perijove.backup.rclone" -}}
{{- $s3 := .root.Values.backup.s3 }}
- name: {{ .name }}
  image: {{ include "perijove.image" (dict "root" .root "image" $s3.image) }}
  imagePullPolicy: {{ $s3.image.pullPolicy }}
  command: [sh, /scripts/{{ .name }}.sh]
  env:
    - {name: BACKUP_DIR, value: /backup}
    - {name: BUCKET, value: {{ include "perijove.backup.bucket" .root | quote }}}
    {{- range $key, $value := .env }}
    - {name: {{ $key }}, value: {{ $value | quote }}}
    {{- end }}
    - {name: RCLONE_CONFIG_BUCKET_TYPE, value: s3}
    - {name: RCLONE_CONFIG_BUCKET_PROVIDER, value: {{ ternary "Other" "AWS" (ne $s3.endpoint "") }}}
    - {name: RCLONE_CONFIG_BUCKET_REGION, value: {{ $s3.region | quote }}}
    - {name: RCLONE_CONFIG, value: /tmp/rclone.conf}
    - {name: RCLONE_CACHE_DIR, value: /tmp/rclone}
    {{- with $s3.endpoint }}
    - {name: RCLONE_CONFIG_BUCKET_ENDPOINT, value: {{ . | quote }}}
    {{- end }}
    {{- if $s3.existingSecret }}
    - name: RCLONE_CONFIG_BUCKET_ACCESS_KEY_ID
      valueFrom: {secretKeyRef: {name: {{ $s3.existingSecret }}, key: access-key-id}}
    - name: RCLONE_CONFIG_BUCKET_SECRET_ACCESS_KEY
      valueFrom: {secretKeyRef: {name: {{ $s3.existingSecret }}, key: secret-access-key}}
    {{- else }}
    - {name: RCLONE_CONFIG_BUCKET_ENV_AUTH, value: "true"}
    {{- end }}
  resources:
    {{- toYaml .root.Values.backup.resources | nindent 4 }}
  securityContext:
    {{- include "perijove.containerSecurity" .root | nindent 4 }}
  volumeMounts:
    - {name: backups, mountPath: /backup}
    - {name: scripts, mountPath: /scripts, readOnly: true}
    - {name: tmp, mountPath: /tmp}
{{- end }}

{{/* The container that runs one of files/backup: (dict "root" $ "script" "backup" "env" (list …)). */}}
{{- define "perijove.backup.script" -}}
{{- $backup := .root.Values.backup }}
- name: {{ .script }}
  image: {{ include "perijove.image" (dict "root" .root "image" $backup.image) }}
  imagePullPolicy: {{ $backup.image.pullPolicy }}
  command: [sh, /scripts/{{ .script }}.sh]
  env:
    - {name: BACKUP_DIR, value: /backup}
    {{- range $key, $value := .env }}
    - {name: {{ $key }}, value: {{ $value | quote }}}
    {{- end }}
    {{- include "perijove.env.database" .root | nindent 4 }}
  resources:
    {{- toYaml $backup.resources | nindent 4 }}
  securityContext:
    {{- include "perijove.containerSecurity" .root | nindent 4 }}
  volumeMounts:
    - {name: backups, mountPath: /backup}
    - {name: scripts, mountPath: /scripts, readOnly: true}
    - {name: tmp, mountPath: /tmp}
    {{- range .configs }}
    - {name: {{ . }}, mountPath: /config/{{ . }}, readOnly: true}
    {{- end }}
{{- end }}

{{- define "perijove.backup.volumes" -}}
- name: backups
  {{- if eq .Values.backup.target "pvc" }}
  persistentVolumeClaim: {claimName: {{ include "perijove.backup.claim" . }}}
  {{- else }}
  emptyDir: {}
  {{- end }}
- name: scripts
  configMap: {name: {{ include "perijove.fullname" . }}-backup}
- name: tmp
  emptyDir: {}
{{- end }}
